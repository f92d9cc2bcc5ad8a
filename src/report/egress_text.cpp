// SPDX-License-Identifier: Apache-2.0
#include "report/egress_text.h"

#include <algorithm>
#include <array>

#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr std::size_t kShownVersionBytes = 19;  // "sha256:" and 12 digits

std::string counted(std::uint64_t count, std::string_view one) {
  return with_separators(count) + " " + std::string(one) + (count == 1 ? "" : "s");
}

}  // namespace

std::string egress_mode_text(const EgressSummary& egress) {
  std::string out(name_of(egress.mode));
  if (egress.is_audit) out += " (audit only)";
  if (!egress.has_policy) return out + ", no policy";
  out += ", policy ";
  const std::string version = egress.version.substr(0, kShownVersionBytes);
  return out + (egress.profile.empty() ? version : egress.profile + " (" + version + ")");
}

std::string violations_text(const EgressSummary& egress) {
  if (egress.count() == 0) return egress.has_policy ? "no violation" : "";
  std::string out = counted(egress.count(), "violation") + ": ";
  bool is_first = true;
  for (const EgressVerdict verdict :
       {EgressVerdict::kBlock, EgressVerdict::kAudit, EgressVerdict::kAllow}) {
    const std::uint64_t count = egress.count(verdict);
    if (count == 0) continue;
    if (!is_first) out += ", ";
    is_first = false;
    out += with_separators(count) + " " + std::string(verdict_text(verdict));
  }
  return out;
}

std::string learning_text(const EgressSummary& egress) {
  if (egress.mode != EgressMode::kLearn) return {};
  if (!egress.learn_problem.empty()) return "not remembered: " + egress.learn_problem;
  return counted(egress.new_destinations, "destination") +
         " that no job of this project used before";
}

std::string target_text(const ViolationUse& use) {
  if (use.ip.empty()) return "name " + use.host;
  const bool is_v6 = use.ip.find(':') != std::string::npos;
  std::string address = is_v6 ? "[" + use.ip + "]" : use.ip;
  if (use.port != 0) address += ":" + std::to_string(use.port);
  address += "/" + use.protocol;
  return use.host.empty() ? address : use.host + " (" + address + ")";
}

std::string reason_text(EgressReason reason) {
  if (reason == EgressReason::kDirectIp) return "direct-IP egress (no DNS answer recorded)";
  std::string out(name_of(reason));
  std::ranges::replace(out, '_', ' ');
  return out;
}

std::string_view verdict_text(EgressVerdict verdict) {
  switch (verdict) {
    case EgressVerdict::kAllow:
      return "let pass";
    case EgressVerdict::kAudit:
      return "would be blocked";
    case EgressVerdict::kBlock:
      return "blocked";
  }
  return "";
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {" B", " kB", " MB", " GB", " TB", " PB"};
  std::uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;
  std::size_t unit = 0;
  while (tenths >= 10'000 && unit + 1 < kUnits.size()) {
    tenths /= 1'000;
    ++unit;
  }
  std::string out = std::to_string(tenths / 10);
  if (unit > 0 && tenths < 100) out += "." + std::to_string(tenths % 10);
  return out.append(kUnits[unit]);
}

std::string traffic_text(const TrafficCounts& traffic) {
  std::string out;
  const auto add = [&](std::string_view what, std::uint64_t bytes) {
    if (bytes == 0) return;
    if (!out.empty()) out += ", ";
    out.append(what).append(" ").append(bytes_text(bytes));
  };
  add("sent", traffic.sent_bytes);
  add("received", traffic.received_bytes);
  add("blocked", traffic.blocked_bytes);
  return out;
}

}  // namespace cicd
