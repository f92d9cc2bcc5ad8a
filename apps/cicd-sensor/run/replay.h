// SPDX-License-Identifier: Apache-2.0
// `cicd-sensor replay`: the outputs of a recorded job, made anew with the rules of now. Thread: the
// caller's is the pipeline thread.
#pragma once

#include "config/parse.h"

namespace cicd {

// The exit code; prints errors itself.
int run_replay(const CommandLine& line);

}  // namespace cicd
