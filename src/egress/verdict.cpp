// SPDX-License-Identifier: Apache-2.0
#include "egress/verdict.h"

#include <array>

namespace cicd {

namespace {

constexpr std::array<std::string_view, 3> kModes = {"observe", "learn", "enforce"};
constexpr std::array<std::string_view, 3> kVerdicts = {"allow", "audit", "block"};
constexpr std::array<std::string_view, 13> kReasons = {"none",
                                                       "domain_not_in_allowlist",
                                                       "direct_ip",
                                                       "port_not_allowed",
                                                       "step_not_allowed",
                                                       "denied_by_rule",
                                                       "metadata",
                                                       "dot",
                                                       "doh_endpoint",
                                                       "raw_socket",
                                                       "rebinding",
                                                       "ipv6",
                                                       "default_deny"};

}  // namespace

std::string_view name_of(EgressMode mode) { return kModes[static_cast<std::size_t>(mode)]; }

std::optional<EgressMode> egress_mode_of(std::string_view name) {
  for (std::size_t i = 0; i < kModes.size(); ++i) {
    if (kModes[i] == name) return static_cast<EgressMode>(i);
  }
  return std::nullopt;
}

std::string_view name_of(EgressVerdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
}

std::string_view name_of(EgressReason reason) { return kReasons[static_cast<std::size_t>(reason)]; }

}  // namespace cicd
