// SPDX-License-Identifier: Apache-2.0
// The front: the process that the user started. It makes the job's cgroup, starts the command in
// it, hands signals and the terminal on, waits, and ends with the command's exit code. It is
// single- threaded and does as little as it can, because it is the guardian of the engine (a new
// one takes over when an engine dies) as the engine is of it (engine_process.h).
//
// Order, and why: everything that can be refused is checked first; the engine is forked before
// anything is made, so that at every moment one of two processes can clean up; the command is held
// until the engine has been told of it.
#pragma once

#include "run/plan.h"

namespace cicd {

// Runs the plan; the answer is the exit code of the program. Prints errors itself.
int run_front(const RunPlan& plan);

}  // namespace cicd
