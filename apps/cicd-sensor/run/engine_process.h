// SPDX-License-Identifier: Apache-2.0
// The engine process: watches one job and writes its outputs. Forked by the front (front.h), in a
// session of its own, so that what ends the front (Ctrl-C, a closed terminal, a killed process
// group) does not end it: when the front is gone it finishes the job and cleans up alone.
//
// It starts from what the front's memory holds (EngineStart), so an engine that was killed is
// replaced by another one that knows as much and takes the rest from the journal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "job/command_user.h"
#include "kernel/live_source.h"
#include "rule/program.h"
#include "run/engine.h"
#include "run/heartbeat.h"
#include "run/link.h"
#include "run/run_options.h"
#include "run/run_state.h"
#include "run/run_termination.h"

namespace cicd {

inline constexpr std::uint32_t kRunSlot = 1;

struct EngineStart {
  const RunOptions* options = nullptr;
  LiveSource* source = nullptr;
  RunState* state = nullptr;
  std::shared_ptr<const Program> program;
  RunNames names;
  CommandUser owner;                // of the output files
  std::uint64_t start_time_ns = 0;  // CLOCK_REALTIME
  pid_t front_pid = 0;
  Heartbeat heartbeat;

  // What happened so far; empty for the first engine.
  std::uint64_t cgroup_id = 0;  // 0: it does not exist yet
  bool is_restart = false;
  bool is_journal_lost = false;     // it ends before what was read from the rings
  std::vector<MonitoringGap> gaps;  // the last one still open (end_ns 0)
  pid_t command_pid = 0;
  int command_pidfd = -1;
  std::optional<int> command_status;  // wait status
  bool is_interrupted = false;
  bool is_hurried = false;
  std::optional<TerminationCause> termination;  // the engine before had begun to end the job
  std::vector<std::string> problems;            // of the monitoring, that were found before
};

// The life of an engine process; the answer is its exit code.
int run_engine(const EngineStart& start, Link link);

}  // namespace cicd
