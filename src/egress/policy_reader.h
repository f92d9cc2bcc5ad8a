// SPDX-License-Identifier: Apache-2.0
// read_policy(): the text of one policy file -> what stands in it, with a diagnostic for every
// mistake. What it extends is left to load_policy_*() (policy_loader.cpp). Hostile text is bounded
// by YamlWalk and the limits here.
// Threads: pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "egress/policy.h"

namespace cicd {

inline constexpr std::size_t kMaxRulePorts = 16;  // ranges; what the kernel side takes at a range
inline constexpr std::size_t kMaxRulePrefixes = 1000;
inline constexpr std::size_t kMaxTrustedNets = 1000;
inline constexpr std::size_t kMaxUpstreams = 8;
inline constexpr std::size_t kMaxBases = 16;  // in one file

// One file. What is absent is nullopt or empty.
struct PolicyFile {
  struct Base {
    std::string name;
    SourcePlace place;
  };
  std::optional<std::string> profile;
  std::vector<Base> bases;
  std::optional<bool> is_audit, default_allow, block_doh, block_dot, allow_metadata, block_ipv6;
  std::optional<DeniedNameAnswer> denied_names;
  std::optional<std::vector<std::string>> upstreams;
  std::vector<EgressRule> rules;
  std::vector<SourcePlace> rule_places;  // of the rule_id, or of the rule when it has none
  std::vector<IpPrefix> trusted_nets;
};

// `text` has no byte order mark; `name` stands for the file. Ids of rules that have none are
// "allow[0]" by their place, after `id_prefix`.
PolicyFile read_policy(std::string_view text, const std::string& name, const std::string& id_prefix,
                       std::vector<Diagnostic>& diagnostics);

}  // namespace cicd
