// SPDX-License-Identifier: Apache-2.0
// MonitoringGap: a time in which nobody watched a job, and the record that says so among its
// events. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "event/event_record.h"
#include "kernel/event_source.h"

namespace cicd {

struct MonitoringGap {
  std::string reason;
  std::uint64_t start_ns = 0;  // CLOCK_REALTIME
  std::uint64_t end_ns = 0;
};

// `root_cgroup_id`: of the job.
void add_gap_record(EventBatch& batch, const MonitoringGap& gap, ClockInfo clock,
                    std::uint64_t root_cgroup_id);

}  // namespace cicd
