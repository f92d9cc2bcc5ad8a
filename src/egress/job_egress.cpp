// SPDX-License-Identifier: Apache-2.0
#include "egress/job_egress.h"

#include <arpa/inet.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "egress/doh_endpoints.h"
#include "egress/job_egress_rules.h"
#include "egress/policy_names.h"
#include "egress/policy_prefixes.h"

namespace cicd {

namespace {

// Something that puts entries at a range or a name: a rule, a trusted net, a general block.
struct Source {
  std::vector<cicd_egress_rule> entries;
  const EgressRule* rule = nullptr;
};

std::uint64_t hash_of_step(std::string_view id) {
  std::uint64_t hash = CICD_STEP_HASH;
  for (const char c : id.substr(0, CICD_STEP_ID_MAX)) {
    hash = cicd_step_hash(hash, static_cast<std::uint8_t>(c));
  }
  return hash;
}

std::string text_of(const IpPrefix& prefix) {
  char text[INET6_ADDRSTRLEN] = "";
  const bool is_v4 = prefix.bits >= 96 && is_mapped_ipv4(prefix.address);
  const void* bytes = prefix.address.data() + (is_v4 ? 12 : 0);
  ::inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
  return std::string(text) + "/" + std::to_string(is_v4 ? prefix.bits - 96 : prefix.bits);
}

std::unexpected<Error> no_room(const std::string& where, const EgressRule* rule) {
  std::string text = "more than " + std::to_string(CICD_EGRESS_RULES_MAX) +
                     " rules and ranges of ports meet at " + where;
  if (rule != nullptr) {
    text += "; the one of " + rule->file + ":" + std::to_string(rule->line) + " does not fit";
  }
  return fail(ErrorCode::kInvalidInput, std::move(text),
              "put ports of one destination into one range, or give it one rule for all ports");
}

cicd_egress_rule doh_rule(std::uint8_t scopes) {
  cicd_egress_rule out{};
  out.port_first = out.port_last = kDohPort;
  out.kind = CICD_EGRESS_DENY_DOH;
  out.scopes = scopes;
  return out;
}

cicd_egress_rule allow_all(std::uint8_t scope) {
  cicd_egress_rule out{};
  out.port_last = 65'535;
  out.kind = CICD_EGRESS_ALLOW;
  out.scopes = scope;
  return out;
}

constexpr IpPrefix kAllIpv4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr IpPrefix kMetadata[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254}, 128},
    {{0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128}};

}  // namespace

struct JobEgress::Compiled {
  struct Net {
    IpPrefix prefix;
    cicd_egress_rules rules;
  };
  std::vector<Net> nets;
  std::vector<std::pair<std::uint64_t, std::uint8_t>> steps;  // hash, number
  HostTable<cicd_egress_rules> hosts;  // each with the rules of the wildcards that hold it
  cicd_egress_policy policy{};
  std::uint8_t doh_scopes = 0;

  class Compiler;
};

class JobEgress::Compiled::Compiler {
 public:
  explicit Compiler(Compiled& out) : out_(out) {}

  Result<> add_scope(const ScopeEgress& scope, std::uint8_t bit);
  Result<> finish();

 private:
  Result<std::uint8_t> number_of_step(const EgressRule& rule);
  Result<> add_rules(const EgressPolicy& its_policy, std::uint8_t bit);
  std::uint32_t add_source(std::vector<cicd_egress_rule> entries, const EgressRule* rule = nullptr);
  // The rules of these sources, the most specific one first.
  Result<cicd_egress_rules> list_of(const std::vector<std::uint32_t>& sources,
                                    const std::string& where) const;
  Result<> finish_nets();
  Result<> finish_hosts();

  Compiled& out_;
  std::vector<Source> sources_;
  std::vector<PrefixTree::Entry> nets_;
  HostTable<std::vector<std::uint32_t>> hosts_;
  std::unordered_map<std::uint64_t, std::uint8_t> steps_;
};

std::uint32_t JobEgress::Compiled::Compiler::add_source(std::vector<cicd_egress_rule> entries,
                                                        const EgressRule* rule) {
  sources_.push_back({std::move(entries), rule});
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

// Ids of the same hash are one step to the kernel side, so they have one number.
Result<std::uint8_t> JobEgress::Compiled::Compiler::number_of_step(const EgressRule& rule) {
  if (rule.step.empty()) return std::uint8_t{0};
  const std::uint64_t hash = hash_of_step(rule.step);
  if (const auto known = steps_.find(hash); known != steps_.end()) return known->second;
  if (steps_.size() == CICD_STEPS_MAX) {
    return fail(ErrorCode::kInvalidInput, "the policies of the job name more than " +
                                              std::to_string(CICD_STEPS_MAX) +
                                              " steps; the one of " + rule.file + ":" +
                                              std::to_string(rule.line) + " does not fit");
  }
  const auto number = static_cast<std::uint8_t>(steps_.size() + 1);
  steps_.emplace(hash, number);
  out_.steps.emplace_back(hash, number);
  return number;
}

Result<> JobEgress::Compiled::Compiler::add_rules(const EgressPolicy& its_policy,
                                                  std::uint8_t bit) {
  std::uint16_t number = 0;
  for (const EgressRule* rule : its_policy.rules()) {
    ++number;
    CICD_ASSIGN(const std::uint8_t step, number_of_step(*rule));
    const std::uint32_t source = add_source(wire_rules(*rule, bit, step, number), rule);
    for (const IpPrefix& prefix : rule->prefixes) nets_.push_back({prefix, source});
    if (!rule->host.empty()) hosts_[rule->host].push_back(source);
  }
  return {};
}

Result<> JobEgress::Compiled::Compiler::add_scope(const ScopeEgress& scope, std::uint8_t bit) {
  if (!scope.is_watching()) return {};
  const PolicyDocument& document = scope.policy->document();
  cicd_egress_policy& flags = out_.policy;
  const auto set = [bit](std::uint8_t& member, bool is_set) {
    if (is_set) member |= bit;
  };
  set(flags.watching, true);
  set(flags.enforcing, scope.is_enforcing());
  set(flags.default_allow, document.default_allow);
  set(flags.metadata_allow, document.allow_metadata);
  set(flags.dot_allow, !document.block_dot);
  set(flags.ipv6_block, document.block_ipv6);
  set(out_.doh_scopes, document.block_doh);
  if (scope.policy->rules().size() > kMaxPolicyRules) {
    return fail(ErrorCode::kInvalidInput,
                "a policy has more than " + std::to_string(kMaxPolicyRules) + " rules");
  }
  CICD_TRY(add_rules(*scope.policy, bit));
  const std::uint32_t everything = add_source({allow_all(bit)});
  for (const IpPrefix& net : document.trusted_nets) nets_.push_back({net, everything});
  if (document.allow_metadata) {
    for (const IpPrefix& address : kMetadata) nets_.push_back({address, everything});
  }
  return {};
}

Result<cicd_egress_rules> JobEgress::Compiled::Compiler::list_of(
    const std::vector<std::uint32_t>& sources, const std::string& where) const {
  RuleList list;
  for (std::size_t i = sources.size(); i-- > 0;) {
    const Source& source = sources_[sources[i]];
    for (const cicd_egress_rule& entry : source.entries) {
      if (!list.add(entry)) return no_room(where, source.rule);
    }
  }
  return list.rules();
}

Result<> JobEgress::Compiled::Compiler::finish_nets() {
  if (out_.doh_scopes != 0) {
    const std::uint32_t doh = add_source({doh_rule(out_.doh_scopes)});
    for (const IpPrefix& prefix : doh_prefixes()) nets_.push_back({prefix, doh});
  }
  // The kernel side finds IPv4 in a short range of IPv6; one of its own in between keeps it out.
  const bool has_short_range = std::ranges::any_of(nets_, [](const PrefixTree::Entry& entry) {
    return entry.prefix.bits < kAllIpv4.bits && holds(entry.prefix, kAllIpv4);
  });
  if (has_short_range) nets_.push_back({kAllIpv4, add_source({})});
  const PrefixTree tree(std::move(nets_));
  for (std::size_t i = 0; i < tree.nodes().size(); ++i) {
    const PrefixTree::Node& node = tree.nodes()[i];
    std::vector<std::uint32_t> sources;
    for (auto at = static_cast<std::int32_t>(i); at != PrefixTree::kNone;
         at = tree.next(at, node.prefix.address)) {
      const auto own = tree.values(tree.nodes()[static_cast<std::size_t>(at)]);
      sources.insert(sources.end(), own.begin(), own.end());
    }
    CICD_ASSIGN(const cicd_egress_rules rules, list_of(sources, text_of(node.prefix)));
    out_.nets.push_back({node.prefix, rules});
  }
  return {};
}

Result<> JobEgress::Compiled::Compiler::finish_hosts() {
  Result<> outcome;
  hosts_.visit_all([&](const std::string& pattern, const std::vector<std::uint32_t>& own) {
    if (!outcome) return;
    std::vector<std::uint32_t> sources = own;
    const bool is_wildcard = pattern.starts_with("*.");
    hosts_.visit_below(std::string_view(pattern).substr(is_wildcard ? 2 : 0),
                       [&](const std::vector<std::uint32_t>& wider) {
                         sources.insert(sources.end(), wider.begin(), wider.end());
                       });
    auto rules = list_of(sources, pattern);
    if (rules) {
      out_.hosts[pattern] = *rules;
    } else {
      outcome = std::unexpected(std::move(rules).error());
    }
  });
  return outcome;
}

Result<> JobEgress::Compiled::Compiler::finish() {
  CICD_TRY(finish_nets());
  CICD_TRY(finish_hosts());
  out_.policy.has_steps = out_.steps.empty() ? 0 : 1;
  return {};
}

JobEgress::JobEgress(ScopeEgress host, ScopeEgress project,
                     std::shared_ptr<const Compiled> compiled)
    : host_(std::move(host)), project_(std::move(project)), compiled_(std::move(compiled)) {}

Result<std::shared_ptr<const JobEgress>> JobEgress::make(ScopeEgress host, ScopeEgress project) {
  auto compiled = std::make_shared<Compiled>();
  Compiled::Compiler compiler(*compiled);
  CICD_TRY(compiler.add_scope(host, CICD_SCOPE_HOST));
  CICD_TRY(compiler.add_scope(project, CICD_SCOPE_PROJECT));
  CICD_TRY(compiler.finish());
  return std::shared_ptr<const JobEgress>(
      new JobEgress(std::move(host), std::move(project), std::move(compiled)));
}

Result<> JobEgress::install(EgressControl& control, std::uint32_t slot, std::uint16_t resolver_port,
                            const JobEgress* before) const {
  for (const auto& [hash, number] : compiled_->steps) {
    CICD_TRY(control.put_step(slot, hash, number));
  }
  for (const Compiled::Net& net : compiled_->nets) {
    CICD_TRY(control.put_net(slot, net.prefix.address, net.prefix.bits, net.rules));
  }
  cicd_egress_policy policy = compiled_->policy;
  policy.resolver_port = resolver_port;
  CICD_TRY(control.set_policy(slot, policy));
  if (before == nullptr) return {};
  // Both lists are in the order of PrefixTree.
  const auto key = [](const Compiled::Net& net) {
    return std::pair(net.prefix.address, net.prefix.bits);
  };
  for (const Compiled::Net& net : before->compiled_->nets) {
    if (std::ranges::binary_search(compiled_->nets, key(net), {}, key)) continue;
    control.remove_net(slot, net.prefix.address, net.prefix.bits);
  }
  return {};
}

JobEgress::NameAnswer JobEgress::answer_name(std::string_view name) const {
  for (const ScopeEgress* scope : {&host_, &project_}) {
    if (!scope->is_enforcing() || scope->policy->judge_name(name).is_allowed) continue;
    return {true, scope->policy->document().denied_names};
  }
  return {};
}

cicd_egress_rules JobEgress::rules_of_name(std::string_view name) const {
  const PlainName plain(name);
  const cicd_egress_rules* found = nullptr;
  compiled_->hosts.visit_matches(plain.view(), [&](const cicd_egress_rules& rules) {
    if (found == nullptr) found = &rules;
  });
  if (compiled_->doh_scopes == 0 || !is_doh_name(plain.view())) {
    return found != nullptr ? *found : cicd_egress_rules{};
  }
  RuleList list(found != nullptr ? *found : cicd_egress_rules{});
  list.add_deny(doh_rule(compiled_->doh_scopes));
  return list.rules();
}

std::optional<cicd_egress_rules> JobEgress::merge(const cicd_egress_rules& a,
                                                  const cicd_egress_rules& b) {
  RuleList list(a);
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(b.count, CICD_EGRESS_RULES_MAX); ++i) {
    if (!list.add(b.rules[i])) return std::nullopt;
  }
  return list.rules();
}

std::vector<std::string> JobEgress::upstreams() const {
  for (const ScopeEgress* scope : {&host_, &project_}) {
    if (scope->policy != nullptr && !scope->policy->document().upstreams.empty()) {
      return scope->policy->document().upstreams;
    }
  }
  return {};
}

}  // namespace cicd
