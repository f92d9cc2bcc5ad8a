// SPDX-License-Identifier: Apache-2.0
// What the kernel side counted as lost: the `loss` map and the programs' recursion misses.
// Threads: any; pure reads.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "kernel/loss.h"
#include "kernel/program_set.h"

namespace cicd {

// Counters of the slot, and misses of the programs for all slots together (a program that was
// skipped could not find out whose work it was).
Result<LossReport> read_kernel_losses(const ProgramSet& programs, std::uint32_t slot);

// Sets the counters of a slot to zero, for its next job.
void clear_kernel_losses(const ProgramSet& programs, std::uint32_t slot);

}  // namespace cicd
