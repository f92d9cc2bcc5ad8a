// SPDX-License-Identifier: Apache-2.0
// What of a run is to be ended, and what not (job/job_termination.h). Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "job/job_termination.h"
#include "kernel/live_source.h"
#include "run/run_state.h"

namespace cicd {

// The job of a run, which made its cgroup itself. `front_pid`: the other process of the sensor. The
// source outlives the target.
Result<TerminationTarget> termination_target(const RunNames& names, const LiveSource& source,
                                             std::uint32_t slot, pid_t front_pid);

}  // namespace cicd
