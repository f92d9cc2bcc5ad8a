// SPDX-License-Identifier: Apache-2.0
// The outputs of a run whose processes were all killed at once, made from its journal by the next
// run: all that had been read from the rings by then. What came after that nobody has seen, and the
// summary says so.
//
// Processes: it works in a child, so that a damaged journal, a folder that hangs or the other run's
// working directory cannot harm the run that is about to start. Threads: call it from a process
// with one.
#pragma once

#include "run/run_state.h"

namespace cicd {

// Whether they were made. Not when others write there by now, or without the journal.
bool finish_dead_run(const RunNames& names);

}  // namespace cicd
