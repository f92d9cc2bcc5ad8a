// SPDX-License-Identifier: Apache-2.0
// What the reports say of a job's egress, in the same words: terminal, step summary, pages. Text is
// the job's where it names something: the caller escapes it. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "job/summary.h"

namespace cicd {

// "observe, policy ci (sha256:0123456789ab)", "enforce (audit only), ...", "learn, no policy".
std::string egress_mode_text(const EgressSummary& egress);
// "12 violations: 10 blocked, 2 let pass", "no violation".
std::string violations_text(const EgressSummary& egress);
// What learning has added; empty in other modes.
std::string learning_text(const EgressSummary& egress);
// "registry.test (192.0.2.7:443/tcp)", "name evil.test", "192.0.2.7:443/tcp".
std::string target_text(const ViolationUse& use);
// "direct-IP egress (no DNS answer recorded)", "port not allowed".
std::string reason_text(EgressReason reason);
// "blocked", "would be blocked", "let pass".
std::string_view verdict_text(EgressVerdict verdict);

// "999 B", "1.2 kB", "34 MB".
std::string bytes_text(std::uint64_t bytes);
// "sent 1.2 kB, received 34 MB, blocked 120 B"; empty when nothing was counted.
std::string traffic_text(const TrafficCounts& traffic);

}  // namespace cicd
