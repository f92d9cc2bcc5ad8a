// SPDX-License-Identifier: Apache-2.0
#include "egress/verdict.h"

#include <array>

namespace cicd {

namespace {

constexpr std::array<std::string_view, 3> kModes = {"observe", "learn", "enforce"};
constexpr std::array<std::string_view, kEgressVerdictCount> kVerdicts = {"allow", "audit", "block"};
constexpr std::array<std::string_view, kEgressReasonCount> kReasons = {"none",
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

// The value whose name that is.
template <typename Value, std::size_t N>
std::optional<Value> value_of(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Value>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(EgressMode mode) { return kModes[static_cast<std::size_t>(mode)]; }

std::optional<EgressMode> egress_mode_of(std::string_view name) {
  return value_of<EgressMode>(kModes, name);
}

std::string_view name_of(EgressVerdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
}

std::optional<EgressVerdict> egress_verdict_of(std::string_view name) {
  return value_of<EgressVerdict>(kVerdicts, name);
}

std::string_view name_of(EgressReason reason) { return kReasons[static_cast<std::size_t>(reason)]; }

std::optional<EgressReason> egress_reason_of(std::string_view name) {
  return value_of<EgressReason>(kReasons, name);
}

}  // namespace cicd
