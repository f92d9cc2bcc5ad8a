// SPDX-License-Identifier: Apache-2.0
// The words of egress control: modes, verdicts, and why. As they stand in policies, rows and
// reports. Pure data; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cicd {

// observe: tell flows and what a policy would say of them; deny nothing. learn: the same, and
// remember the destinations. enforce: deny what the policy does not allow.
enum class EgressMode : std::uint8_t { kObserve, kLearn, kEnforce };
std::string_view name_of(EgressMode mode);
std::optional<EgressMode> egress_mode_of(std::string_view name);

// allow: it was seen and let pass (observe). audit: it would have been denied, and was let pass
// because the policy says audit. block: it was denied.
enum class EgressVerdict : std::uint8_t { kAllow, kAudit, kBlock };
inline constexpr std::size_t kEgressVerdictCount = 3;
std::string_view name_of(EgressVerdict verdict);
std::optional<EgressVerdict> egress_verdict_of(std::string_view name);

enum class EgressReason : std::uint8_t {
  kNone,
  kDomainNotInAllowlist,  // "domain_not_in_allowlist"
  kDirectIp,              // "direct_ip": no DNS answer recorded
  kPortNotAllowed,        // "port_not_allowed"
  kStepNotAllowed,        // "step_not_allowed"
  kDeniedByRule,          // "denied_by_rule"
  kMetadata,              // "metadata"
  kDot,                   // "dot"
  kDohEndpoint,           // "doh_endpoint"
  kRawSocket,             // "raw_socket"
  kRebinding,             // "rebinding": an allowed name leads to an address of the inside
  kIpv6,                  // "ipv6"
  kDefaultDeny,           // "default_deny"
};
inline constexpr std::size_t kEgressReasonCount = 13;
std::string_view name_of(EgressReason reason);
std::optional<EgressReason> egress_reason_of(std::string_view name);

}  // namespace cicd
