// SPDX-License-Identifier: Apache-2.0
// What a job's egress policy made of it, in summary.json and in result documents. Threads: pure.
#pragma once

#include "base/json_writer.h"
#include "job/summary.h"

namespace cicd {

// Member "egress".
void append_egress(JsonWriter& json, const EgressSummary& egress);
// Members "sent_bytes", ... of a destination, of those that are not 0.
void append_traffic(JsonWriter& json, const TrafficCounts& traffic);

}  // namespace cicd
