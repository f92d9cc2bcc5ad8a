// SPDX-License-Identifier: Apache-2.0
// What a scope knows at the end of a job: the data of summary.json and of every report.
// Pure data, made once by Scope::summarize(); any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "event/event_type.h"
#include "event/process.h"
#include "job/identity.h"
#include "kernel/event_source.h"
#include "kernel/loss.h"
#include "rule/program.h"

namespace cicd {

enum class JobResult { kPassed, kDetected, kTerminated };
std::string_view name_of(JobResult result);

struct RuleSetRef {
  std::string ruleset_id;
  std::string revision;
};

// A detection as reports show it: the rule, and each alert with its chain of processes.
struct AlertSummary {
  std::uint64_t time_ns = 0;  // CLOCK_REALTIME
  EventType event_type = EventType::kProcessExec;
  ProcessRef process;   // chain through Process::parent
  std::string subject;  // what the event was about: path, address:port, program
};
struct DetectionSummary {
  CompiledRule rule;
  std::uint64_t count = 0;           // all hits, beyond max_alerts too
  std::vector<AlertSummary> alerts;  // the first max_alerts hits
};

struct ProgramUse {  // "what ran"
  std::string exec_path;
  std::uint64_t count = 0;  // execs
};
struct DestinationUse {
  std::string remote_ip;
  std::string domain;  // empty when unknown
  std::string protocol;
  std::uint16_t remote_port = 0;
  std::uint64_t count = 0;
  std::vector<std::string> exec_paths;  // distinct, at most 10
  std::uint64_t process_overflow_count = 0;
};
struct SensitiveFileUse {
  std::string path;
  std::string kind;  // "npm token", "ssh key", ...
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::vector<std::string> exec_paths;  // distinct, at most 10
};

struct JobSummary {
  JobIdentity identity;
  JobMetadata metadata;
  std::string runner_type;
  JobResult result = JobResult::kPassed;
  std::string finalize_reason;      // "command_exit", "interrupted", "sensor_lost", ...
  std::uint64_t start_time_ns = 0;  // CLOCK_REALTIME
  std::uint64_t end_time_ns = 0;
  std::vector<std::string> command;
  int command_status = 0;      // exit code as the shell has it (128 + signal)
  bool command_known = false;  // false: the end of the command was not seen

  std::vector<RuleSetRef> rule_sets;
  std::vector<DetectionSummary> detections;  // most severe, then first seen
  std::vector<ProgramUse> programs;          // most used first, at most 1,000
  std::vector<DestinationUse> destinations;  // most used first, at most 1,000
  std::vector<SensitiveFileUse> sensitive_files;
  std::uint64_t observation_overflow = 0;  // programs, destinations or files beyond the caps

  std::uint64_t events_total = 0;
  std::vector<std::uint64_t> events_by_type;  // indexed by EventType
  std::uint64_t events_dropped = 0;           // == losses.total()
  LossReport losses;
  std::vector<Coverage> coverage;
  std::uint64_t processes_total = 0;
  std::uint64_t processes_left = 0;  // still running when the grace time was over
  std::uint64_t sensor_restarts = 0;
};

}  // namespace cicd
