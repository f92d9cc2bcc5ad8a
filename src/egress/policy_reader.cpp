// SPDX-License-Identifier: Apache-2.0
#include "egress/policy_reader.h"

#include <algorithm>
#include <utility>

#include "egress/policy_prefixes.h"
#include "egress/policy_values.h"
#include "rule/yaml_walk.h"

namespace cicd {

namespace {

using Kind = YamlNode::Kind;
using Words = std::initializer_list<std::string_view>;

constexpr std::size_t kMaxProjectBytes = 2048;  // as of JobIdentity

class PolicyReader {
 public:
  PolicyReader(std::string_view text, const std::string& name, const std::string& id_prefix,
               std::vector<Diagnostic>& diagnostics)
      : name_(name),
        id_prefix_(id_prefix),
        diagnostics_(diagnostics),
        walk_(text, name, diagnostics) {}

  PolicyFile read();

 private:
  void read_document(const YamlNode& root);
  bool read_member(const YamlWalk::Entry& entry);
  void read_version(const YamlNode& node);
  void read_bases(const YamlNode& node);
  void read_egress(const YamlNode& node);
  void read_rules(const YamlNode& node, bool is_deny);
  void read_rule(const YamlNode& node, bool is_deny, std::size_t place);
  bool read_rule_member(const YamlWalk::Entry& entry, EgressRule& rule);
  void check_rule(const YamlNode& node, const EgressRule& rule);
  void read_ports(const YamlNode& node, EgressRule& rule);
  void read_proto(const YamlNode& node, EgressRule& rule);
  void read_nets(const YamlNode& node, std::string_view what, std::size_t most,
                 std::vector<IpPrefix>& out);
  void read_dns(const YamlNode& node);
  void read_upstreams(const YamlNode& node);

  // A list, or one value in the place of a list of one; nothing is an empty list.
  std::vector<const YamlNode*> items(const YamlNode& node, std::string_view what, std::size_t most);
  // A text of 1 to `most` bytes without control characters.
  std::optional<std::string> line(const YamlNode& node, std::string_view what, std::size_t most);
  std::optional<std::string> rule_id(const YamlNode& node);
  // True for `yes`, false for `no`.
  std::optional<bool> choice(const YamlNode& node, std::string_view what, std::string_view yes,
                             std::string_view no);
  template <typename Value>
  std::optional<Value> parsed(const YamlNode& node, std::string_view what,
                              Result<Value> (*parse)(const std::string&));
  void unknown_key(const YamlNode& key, std::string_view what, Words known);
  void warn(const YamlNode& node, std::string text);

  const std::string& name_;
  const std::string& id_prefix_;
  std::vector<Diagnostic>& diagnostics_;
  YamlWalk walk_;
  PolicyFile out_;
  bool has_version_ = false;
};

PolicyFile PolicyReader::read() {
  const auto documents = walk_.documents();
  if (documents.empty()) {
    if (!has_errors(diagnostics_)) {
      add_diagnostic(diagnostics_, {Diagnostic::Severity::kError, name_, 0, 0, "",
                                    "the policy is empty; it needs at least \"version: 1\""});
    }
    return std::move(out_);
  }
  if (documents.size() > 1) {
    walk_.error(*documents[1], "a file holds one policy; this is a second document");
  }
  read_document(*documents[0]);
  return std::move(out_);
}

void PolicyReader::read_document(const YamlNode& root) {
  for (const YamlWalk::Entry& entry : walk_.entries(root, "a policy")) {
    if (read_member(entry)) continue;
    unknown_key(*entry.key, "a policy",
                {"version", "profile", "extends", "audit", "egress", "trusted_nets", "dns",
                 "metadata", "ipv6"});
  }
  if (!has_version_ && root.kind == Kind::kMap) {
    walk_.error(root, "the policy has no version; write \"version: 1\"");
  }
}

bool PolicyReader::read_member(const YamlWalk::Entry& entry) {
  const std::string& key = entry.key->text;
  const YamlNode& value = *entry.value;
  if (key == "version") {
    read_version(value);
  } else if (key == "profile") {
    out_.profile = line(value, key, kMaxPolicyNameBytes);
  } else if (key == "extends") {
    read_bases(value);
  } else if (key == "audit") {
    out_.is_audit = walk_.boolean(value, key);
  } else if (key == "egress") {
    read_egress(value);
  } else if (key == "trusted_nets") {
    read_nets(value, key, kMaxTrustedNets, out_.trusted_nets);
  } else if (key == "dns") {
    read_dns(value);
  } else if (key == "metadata") {
    out_.allow_metadata = choice(value, key, "allow", "deny");
  } else if (key == "ipv6") {
    out_.block_ipv6 = choice(value, key, "block", "allow");
  } else {
    return false;
  }
  return true;
}

void PolicyReader::read_version(const YamlNode& node) {
  has_version_ = true;
  const auto version = walk_.integer(node, "version");
  if (version && *version != 1) {
    walk_.error(node, "version " + std::to_string(*version) +
                          " is not known here; this program reads version 1");
  }
}

void PolicyReader::read_bases(const YamlNode& node) {
  for (const YamlNode* item : items(node, "extends", kMaxBases)) {
    if (auto name = line(*item, "extends", 4096)) {
      out_.bases.push_back({std::move(*name), walk_.place(*item)});
    }
  }
}

void PolicyReader::read_egress(const YamlNode& node) {
  if (node.kind == Kind::kNull) return;
  for (const YamlWalk::Entry& entry : walk_.entries(node, "egress")) {
    const std::string& key = entry.key->text;
    if (key == "default") {
      out_.default_allow = choice(*entry.value, "egress.default", "allow", "deny");
    } else if (key == "allow" || key == "deny") {
      read_rules(*entry.value, key == "deny");
    } else {
      unknown_key(*entry.key, "egress", {"default", "allow", "deny"});
    }
  }
}

void PolicyReader::read_rules(const YamlNode& node, bool is_deny) {
  if (node.kind == Kind::kNull) return;
  std::size_t place = 0;
  for (const YamlNode* item : walk_.items(node, is_deny ? "egress.deny" : "egress.allow")) {
    if (out_.rules.size() == kMaxPolicyRules) {
      walk_.error(*item, "a policy has at most " + std::to_string(kMaxPolicyRules) + " rules");
      return;
    }
    read_rule(*item, is_deny, place++);
  }
}

void PolicyReader::read_rule(const YamlNode& node, bool is_deny, std::size_t place) {
  const std::size_t mistakes_before = diagnostics_.size();
  EgressRule rule;
  rule.is_deny = is_deny;
  rule.file = name_;
  SourcePlace at = walk_.place(node);
  rule.line = at.line;
  rule.rule_id = id_prefix_ + (is_deny ? "deny[" : "allow[") + std::to_string(place) + "]";
  for (const YamlWalk::Entry& entry : walk_.entries(node, "a rule of egress")) {
    if (entry.key->text == "rule_id") at = walk_.place(*entry.value);
    if (read_rule_member(entry, rule)) continue;
    unknown_key(*entry.key, "a rule of egress",
                {"host", "cidr", "ports", "proto", "step", "job", "project", "rule_id"});
  }
  // Nothing more to say about a rule that is in pieces.
  const std::span<const Diagnostic> own = std::span(diagnostics_).subspan(mistakes_before);
  if (node.kind != Kind::kMap || has_errors({own.begin(), own.end()})) return;
  check_rule(node, rule);
  out_.rules.push_back(std::move(rule));
  out_.rule_places.push_back(std::move(at));
}

bool PolicyReader::read_rule_member(const YamlWalk::Entry& entry, EgressRule& rule) {
  const std::string& key = entry.key->text;
  const YamlNode& value = *entry.value;
  if (key == "host") {
    if (value.kind == Kind::kSequence) {
      walk_.error(value, "host is one name; write an entry for each, or *.example.com");
    } else {
      rule.host = parsed(value, key, parse_host).value_or("");
    }
  } else if (key == "cidr") {
    read_nets(value, key, kMaxRulePrefixes, rule.prefixes);
  } else if (key == "ports") {
    read_ports(value, rule);
  } else if (key == "proto") {
    read_proto(value, rule);
  } else if (key == "step" || key == "job") {
    (key == "step" ? rule.step : rule.job) = line(value, key, kMaxPolicyNameBytes).value_or("");
  } else if (key == "project") {
    if (line(value, key, kMaxProjectBytes)) {
      rule.project = parsed(value, key, parse_project).value_or("");
    }
  } else if (key == "rule_id") {
    if (auto id = rule_id(value)) rule.rule_id = std::move(*id);
  } else {
    return false;
  }
  return true;
}

void PolicyReader::check_rule(const YamlNode& node, const EgressRule& rule) {
  if (rule.host.empty() == rule.prefixes.empty()) {
    walk_.error(node, rule.host.empty() ? "the rule has neither host nor cidr; give it one of them"
                                        : "the rule has host and cidr; make two rules of it");
  }
  if (rule.proto == EgressProto::kIcmp && !rule.ports.empty()) {
    walk_.error(node, "icmp has no ports; leave ports or proto out");
  }
  if (!rule.is_deny && rule.host.starts_with("*.") && rule.host.find('.', 2) == std::string::npos) {
    warn(node, "\"" + rule.host + "\" is every name of a top-level domain");
  }
}

void PolicyReader::read_ports(const YamlNode& node, EgressRule& rule) {
  std::vector<PortRange> ranges;
  const auto nodes = items(node, "ports", 1000);
  for (const YamlNode* item : nodes) {
    if (const auto range = parsed(*item, "a port", parse_ports)) ranges.push_back(*range);
  }
  if (nodes.empty()) walk_.error(node, "ports names none; leave it out for all ports");
  rule.ports = joined_ports(std::move(ranges));
  if (rule.ports.size() > kMaxRulePorts) {
    walk_.error(node, "a rule has at most " + std::to_string(kMaxRulePorts) +
                          " ranges of ports that do not touch; this one has " +
                          std::to_string(rule.ports.size()));
  }
}

void PolicyReader::read_proto(const YamlNode& node, EgressRule& rule) {
  const auto word = walk_.text(node, "proto");
  if (!word) return;
  for (const EgressProto proto :
       {EgressProto::kAny, EgressProto::kTcp, EgressProto::kUdp, EgressProto::kIcmp}) {
    if (*word != name_of(proto)) continue;
    rule.proto = proto;
    return;
  }
  walk_.error(node, "unknown proto \"" + shown(*word) + "\"; known: tcp, udp, icmp, any");
}

void PolicyReader::read_nets(const YamlNode& node, std::string_view what, std::size_t most,
                             std::vector<IpPrefix>& out) {
  const auto nodes = items(node, what, most);
  for (const YamlNode* item : nodes) {
    const auto net = parsed(*item, what, parse_net);
    if (!net) continue;
    if (masked(*net).address != net->address) {
      warn(*item,
           "\"" + shown(item->text) + "\" has bits set behind the prefix; they do not count");
    }
    out.push_back(masked(*net));
  }
  if (nodes.empty() && what == "cidr") walk_.error(node, "cidr names no range");
}

void PolicyReader::read_dns(const YamlNode& node) {
  if (node.kind == Kind::kNull) return;
  for (const YamlWalk::Entry& entry : walk_.entries(node, "dns")) {
    const std::string& key = entry.key->text;
    const YamlNode& value = *entry.value;
    if (key == "upstream") {
      read_upstreams(value);
    } else if (key == "block_doh") {
      out_.block_doh = walk_.boolean(value, "dns.block_doh");
    } else if (key == "block_dot") {
      out_.block_dot = walk_.boolean(value, "dns.block_dot");
    } else if (key == "denied_answer") {
      const auto is_refused = choice(value, "dns.denied_answer", "refused", "nxdomain");
      if (is_refused) {
        out_.denied_names = *is_refused ? DeniedNameAnswer::kRefused : DeniedNameAnswer::kNxdomain;
      }
    } else {
      unknown_key(*entry.key, "dns", {"upstream", "block_doh", "block_dot", "denied_answer"});
    }
  }
}

void PolicyReader::read_upstreams(const YamlNode& node) {
  std::vector<std::string> servers;
  for (const YamlNode* item : items(node, "dns.upstream", kMaxUpstreams)) {
    if (auto server = parsed(*item, "dns.upstream", parse_upstream)) {
      servers.push_back(std::move(*server));
    }
  }
  out_.upstreams = std::move(servers);
}

std::vector<const YamlNode*> PolicyReader::items(const YamlNode& node, std::string_view what,
                                                 std::size_t most) {
  if (node.kind == Kind::kNull) return {};
  if (node.kind == Kind::kScalar) return {&node};
  auto out = walk_.items(node, what);
  if (out.size() > most) {
    walk_.error(*out[most],
                std::string(what) + " has at most " + std::to_string(most) + " entries");
    out.resize(most);
  }
  return out;
}

std::optional<std::string> PolicyReader::line(const YamlNode& node, std::string_view what,
                                              std::size_t most) {
  auto text = walk_.text(node, what);
  if (!text) return std::nullopt;
  const bool is_line = std::ranges::none_of(
      *text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (is_line && !text->empty() && text->size() <= most) return text;
  walk_.error(node, std::string(what) + " must be a text of 1 to " + std::to_string(most) +
                        " bytes without control characters");
  return std::nullopt;
}

std::optional<std::string> PolicyReader::rule_id(const YamlNode& node) {
  auto id = line(node, "rule_id", kMaxPolicyNameBytes);
  if (!id) return std::nullopt;
  const bool is_plain = std::ranges::all_of(*id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:").find(c) != std::string_view::npos;
  });
  if (is_plain) return id;
  walk_.error(node, "rule_id \"" + shown(*id) + "\" must be letters, digits and _ - . / :");
  return std::nullopt;
}

std::optional<bool> PolicyReader::choice(const YamlNode& node, std::string_view what,
                                         std::string_view yes, std::string_view no) {
  const auto word = walk_.text(node, what);
  if (!word) return std::nullopt;
  if (*word == yes || *word == no) return *word == yes;
  walk_.error(node, std::string(what) + " must be " + std::string(yes) + " or " + std::string(no) +
                        "; here is \"" + shown(*word) + "\"");
  return std::nullopt;
}

template <typename Value>
std::optional<Value> PolicyReader::parsed(const YamlNode& node, std::string_view what,
                                          Result<Value> (*parse)(const std::string&)) {
  const auto text = walk_.text(node, what);
  if (!text) return std::nullopt;
  auto value = parse(*text);
  if (value) return std::move(*value);
  walk_.error(node, value.error().text);
  return std::nullopt;
}

void PolicyReader::unknown_key(const YamlNode& key, std::string_view what, Words known) {
  const std::string_view near = nearest(key.text, known);
  if (near.empty()) return walk_.unknown_key(key, what, known);
  walk_.error(key, "unknown key \"" + shown(key.text) + "\" in " + std::string(what) +
                       "; did you mean " + std::string(near) + "?");
}

void PolicyReader::warn(const YamlNode& node, std::string text) {
  const SourcePlace at = walk_.place(node);
  add_diagnostic(diagnostics_, {Diagnostic::Severity::kWarning, at.file, at.line, at.column, "",
                                std::move(text)});
}

}  // namespace

PolicyFile read_policy(std::string_view text, const std::string& name, const std::string& id_prefix,
                       std::vector<Diagnostic>& diagnostics) {
  return PolicyReader(text, name, id_prefix, diagnostics).read();
}

}  // namespace cicd
