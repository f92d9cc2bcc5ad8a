// SPDX-License-Identifier: Apache-2.0
// load_policy_file() and load_policy_text(): a policy with everything it extends. What is extended
// comes first; of what stands once, the file that extends has the last word.
#include <algorithm>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "egress/doh_endpoints.h"
#include "egress/policy.h"
#include "egress/policy_bases.h"
#include "egress/policy_reader.h"
#include "rule/rule_files.h"
#include "rule/sha256.h"
#include "rule/yaml_tree.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxFiles = 32;
constexpr std::size_t kMaxTotalBytes = 4u << 20;
constexpr std::size_t kMaxTotalPrefixes = 20'000;

struct Source {
  std::string text;
  std::string name;      // in diagnostics
  std::string id;        // the same file by another path has the same
  std::string base_dir;  // empty: there are no files beside it
};

class PolicyLoader {
 public:
  LoadedPolicy load(const Source& source);
  LoadedPolicy load_file(const std::string& path);

 private:
  void load_one(const Source& source);
  void load_base(const PolicyFile::Base& base, const Source& from);
  std::optional<Source> open_base(const PolicyFile::Base& base, const Source& from);
  bool check_text(const Source& source);
  void take(PolicyFile file);
  void take_rules(PolicyFile& file);
  void check_whole();
  LoadedPolicy finish();

  void error(const SourcePlace& at, std::string text) {
    add_diagnostic(out_.diagnostics, {Diagnostic::Severity::kError, at.file, at.line, at.column, "",
                                      std::move(text)});
  }
  void warn(const EgressRule& rule, const SourcePlace& at, std::string text) {
    add_diagnostic(out_.diagnostics, {Diagnostic::Severity::kWarning, at.file, at.line, at.column,
                                      rule.rule_id, std::move(text)});
  }

  LoadedPolicy out_;
  std::string name_;  // of the outermost file
  PolicyDocument document_;
  std::vector<SourcePlace> rule_places_;  // of document_.rules
  std::unordered_map<std::string, SourcePlace> rule_ids_;
  std::vector<std::string> open_;  // ids of files that are being read, from the outermost on
  std::vector<std::string> done_;  // ids
  std::vector<std::string> digests_;
  std::size_t total_bytes_ = 0;
};

// A file's own mistakes are told with its path as it was given.
Result<Source> open_file(const std::string& path) {
  auto text = read_rule_file(path);
  if (!text) return std::unexpected(std::move(text).error());
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(path, ignored);
  std::string directory = fs::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  return Source{std::move(*text), path, whole.empty() ? path : whole.string(),
                std::move(directory)};
}

LoadedPolicy PolicyLoader::load_file(const std::string& path) {
  auto source = open_file(path);
  if (source) return load(*source);
  error({path, 0, 0}, source.error().text);
  return finish();
}

LoadedPolicy PolicyLoader::load(const Source& source) {
  name_ = source.name;
  load_one(source);
  return finish();
}

bool PolicyLoader::check_text(const Source& source) {
  total_bytes_ += source.text.size();
  if (total_bytes_ > kMaxTotalBytes) {
    error({source.name, 0, 0}, "the policy with all that it extends is larger than 4 MiB");
    return false;
  }
  const std::string_view body = without_byte_order_mark(source.text);
  const std::size_t broken = find_broken_utf8(body);
  if (broken == std::string::npos) return true;
  const LineIndex::Position at = LineIndex(body).at(broken);
  error({source.name, at.line, at.column}, kRuleFileNotUtf8);
  return false;
}

void PolicyLoader::load_one(const Source& source) {
  if (!check_text(source)) return;
  open_.push_back(source.id);
  std::string id_prefix;
  if (open_.size() > 1) id_prefix = fs::path(source.name).filename().string() + ":";
  PolicyFile file =
      read_policy(without_byte_order_mark(source.text), source.name, id_prefix, out_.diagnostics);
  for (const PolicyFile::Base& base : file.bases) load_base(base, source);
  take(std::move(file));
  digests_.push_back(sha256_hex(source.text));
  done_.push_back(source.id);
  open_.pop_back();
}

void PolicyLoader::load_base(const PolicyFile::Base& base, const Source& from) {
  auto source = open_base(base, from);
  if (!source) return;
  if (std::ranges::find(open_, source->id) != open_.end()) {
    return error(base.place,
                 "extends goes in a circle: \"" + shown(base.name) + "\" leads back to itself");
  }
  // Two bases may share one of their own.
  if (std::ranges::find(done_, source->id) != done_.end()) return;
  if (open_.size() >= kMaxDepth) {
    return error(base.place,
                 "extends is nested deeper than " + std::to_string(kMaxDepth) + " files");
  }
  if (done_.size() + open_.size() >= kMaxFiles) {
    return error(base.place,
                 "the policy extends more than " + std::to_string(kMaxFiles) + " files");
  }
  load_one(*source);
}

std::optional<Source> PolicyLoader::open_base(const PolicyFile::Base& base, const Source& from) {
  if (base.name.starts_with(kBuiltinPrefix)) {
    const auto text = base_policy(std::string_view(base.name).substr(kBuiltinPrefix.size()));
    if (text) return Source{std::string(*text), base.name, base.name, ""};
    error(base.place,
          "there is no \"" + shown(base.name) + "\"; built in are: " + base_policy_names());
    return std::nullopt;
  }
  if (from.base_dir.empty()) {
    error(base.place, "this policy is no file on this machine, so \"" + shown(base.name) +
                          "\" cannot be found beside it; it can extend builtin:... only");
    return std::nullopt;
  }
  const fs::path path = fs::path(from.base_dir) / base.name;  // an absolute name stays as it is
  auto source = open_file(path.lexically_normal().string());
  if (source) return std::move(*source);
  error(base.place, "base \"" + shown(base.name) + "\": " + source.error().text);
  return std::nullopt;
}

void PolicyLoader::take(PolicyFile file) {
  const auto set = [](auto& member, auto& value) {
    if (value) member = std::move(*value);
  };
  set(document_.profile, file.profile);
  set(document_.is_audit, file.is_audit);
  set(document_.default_allow, file.default_allow);
  set(document_.block_doh, file.block_doh);
  set(document_.block_dot, file.block_dot);
  set(document_.allow_metadata, file.allow_metadata);
  set(document_.block_ipv6, file.block_ipv6);
  set(document_.denied_names, file.denied_names);
  set(document_.upstreams, file.upstreams);
  document_.trusted_nets.insert(document_.trusted_nets.end(), file.trusted_nets.begin(),
                                file.trusted_nets.end());
  take_rules(file);
}

void PolicyLoader::take_rules(PolicyFile& file) {
  for (std::size_t i = 0; i < file.rules.size(); ++i) {
    const SourcePlace& at = file.rule_places[i];
    const auto [known, is_new] = rule_ids_.emplace(file.rules[i].rule_id, at);
    if (!is_new) {
      error(at, "rule_id \"" + file.rules[i].rule_id + "\" stands in " + shown(known->second.file) +
                    ":" + std::to_string(known->second.line) + " already");
    }
    document_.rules.push_back(std::move(file.rules[i]));
    rule_places_.push_back(at);
  }
}

// What only shows once everything is together.
void PolicyLoader::check_whole() {
  std::size_t prefixes = document_.trusted_nets.size();
  for (const EgressRule& rule : document_.rules) prefixes += rule.prefixes.size();
  if (document_.rules.size() > kMaxPolicyRules || prefixes > kMaxTotalPrefixes) {
    error({name_, 0, 0}, "the policy with all that it extends has more than " +
                             std::to_string(kMaxPolicyRules) + " rules or " +
                             std::to_string(kMaxTotalPrefixes) + " ranges of addresses");
  }
  for (std::size_t i = 0; i < document_.rules.size(); ++i) {
    const EgressRule& rule = document_.rules[i];
    if (rule.is_deny) continue;
    const bool is_dot_only =
        rule.ports.size() == 1 && rule.ports[0].first == 853 && rule.ports[0].last == 853;
    if (document_.block_dot && is_dot_only) {
      warn(rule, rule_places_[i],
           "port 853 stays blocked; write dns: {block_dot: false} to allow DNS over TLS");
    }
    if (document_.block_doh && is_doh_name(rule.host)) {
      warn(rule, rule_places_[i],
           "\"" + rule.host +
               "\" is an endpoint of DNS over HTTPS and stays blocked; write dns: "
               "{block_doh: false} to allow it");
    }
    const bool is_metadata = std::ranges::any_of(rule.prefixes, [](const IpPrefix& prefix) {
      return prefix.bits == 128 && is_metadata_address(prefix.address);
    });
    if (!document_.allow_metadata && is_metadata) {
      warn(rule, rule_places_[i], "the metadata address stays blocked; write metadata: allow");
    }
  }
}

LoadedPolicy PolicyLoader::finish() {
  check_whole();
  if (has_errors(out_.diagnostics)) return std::move(out_);
  std::string digest = digests_.empty() ? "" : digests_.back();
  if (digests_.size() > 1) {
    std::string all;
    for (const std::string& each : digests_) all += each + "\n";
    digest = sha256_hex(all);
  }
  document_.version_digest = "sha256:" + digest;
  out_.document = std::make_shared<const PolicyDocument>(std::move(document_));
  return std::move(out_);
}

}  // namespace

LoadedPolicy load_policy_file(const std::string& path) { return PolicyLoader().load_file(path); }

LoadedPolicy load_policy_text(std::string_view text, const std::string& name,
                              const std::string& base_dir) {
  return PolicyLoader().load({std::string(text), name, name, base_dir});
}

}  // namespace cicd
