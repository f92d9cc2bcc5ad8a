// SPDX-License-Identifier: Apache-2.0
// What a scope knows at the end of a job: the data of summary.json and of every report.
// Pure data, made once by Scope::summarize(); any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "egress/verdict.h"
#include "event/event_type.h"
#include "event/process.h"
#include "job/identity.h"
#include "job/process_traces.h"
#include "kernel/event_source.h"
#include "kernel/loss.h"
#include "rule/program.h"

namespace cicd {

// Whose view of a job: who runs the machine, or who wrote the workflow.
enum class ScopeKind : std::uint8_t { kHost, kProject };
std::string_view name_of(ScopeKind kind);

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
  std::string payload;  // all its fields: a JSON object (job/payload_json.h)
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
// The processes that did something.
struct ProcessUse {
  std::vector<std::uint32_t> traces;  // of JobSummary::traces; distinct, at most 10
  std::uint64_t unlisted_count = 0;   // how often others did it
};
struct TrafficCounts {
  // With IP headers.
  std::uint64_t sent_bytes = 0, sent_packets = 0;
  std::uint64_t received_bytes = 0, received_packets = 0;
  std::uint64_t blocked_bytes = 0, blocked_packets = 0;
};
// Traffic of a job with one address and port, as the kernel side has counted it.
struct FlowTraffic {
  std::string remote_ip;  // as in rows: the shortest form
  std::uint16_t remote_port = 0;
  std::string protocol;  // "tcp", "udp" or the number
  TrafficCounts traffic;
};
struct DestinationUse {
  std::string remote_ip;
  std::string domain;  // empty when unknown
  std::string protocol;
  std::uint16_t remote_port = 0;
  std::uint64_t count = 0;
  std::vector<std::string> exec_paths;  // distinct, at most 10
  std::uint64_t process_overflow_count = 0;
  bool is_ambiguous = false;  // several names lead to the address; `domain` is the likeliest
  ProcessUse processes;
  // Traffic with the address and port, whatever its name; 0 where nothing counts it.
  TrafficCounts traffic;
  std::uint64_t first_ns = 0, last_ns = 0;  // CLOCK_REALTIME
  std::string step;                         // id of the first one's; empty: none
};
struct DomainUse {
  std::string domain;
  std::uint64_t count = 0;              // questions, repeats within seconds left out
  std::vector<std::string> exec_paths;  // distinct, at most 10
  std::uint64_t process_overflow_count = 0;
  ProcessUse processes;
};
struct SensitiveFileUse {
  std::string path;
  std::string kind;  // "npm token", "ssh key", ...
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::vector<std::string> exec_paths;  // distinct, at most 10
};

// Violations of the scope's egress policy that are alike.
struct ViolationUse {
  EgressVerdict verdict = EgressVerdict::kBlock;
  EgressReason reason = EgressReason::kDefaultDeny;
  std::string rule_id;  // empty: none
  std::string host;     // empty: not known
  std::string ip;       // empty: only the name was asked for
  std::uint16_t port = 0;
  std::string protocol;
  std::uint64_t count = 0;              // attempts
  std::vector<std::string> exec_paths;  // distinct, at most 10
  std::uint64_t process_overflow_count = 0;
  ProcessUse processes;
};
using EgressReasonCounts = std::array<std::uint64_t, kEgressReasonCount>;  // by EgressReason
// What the kernel side has counted of the whole job, exact whatever became of the events.
struct EgressKernelTotals {
  EgressReasonCounts denied{};
  EgressReasonCounts audited{};
  std::uint64_t flows_missing = 0;  // destinations whose traffic nothing counts
};
struct EgressSummary {
  EgressMode mode = EgressMode::kObserve;
  bool has_policy = false;
  bool is_audit = false;
  std::string profile, version;                                      // of the policy
  std::array<EgressReasonCounts, kEgressVerdictCount> violations{};  // attempts, by EgressVerdict
  std::vector<ViolationUse> top;                                     // most first, at most 1,000
  std::optional<EgressKernelTotals> kernel_totals;
  std::uint64_t new_destinations = 0;  // mode learn: that no job of the project had used before
  std::string learn_problem;           // why destinations could not be remembered; empty: they are

  std::uint64_t count(EgressVerdict verdict) const;
  std::uint64_t count() const;
};

// How a rule with the action `terminate` ended the job.
struct TerminationSummary {
  std::string ruleset_id;  // of the rule that fired first; empty when that is not known any more
  std::string rule_id;
  std::uint64_t time_ns = 0;            // CLOCK_REALTIME, of the decision
  std::uint64_t duration_us = 0;        // from the decision to the end of the last process
  std::uint64_t processes = 0;          // ended in the job's cgroup
  std::uint64_t escaped_processes = 0;  // ended outside of it
  std::uint64_t processes_left = 0;     // could not be ended in time
  std::string method;                   // "cgroup.kill" or "signals"
};

struct JobSummary {
  // The job was ended by a rule.
  void set_terminated(TerminationSummary how);

  JobIdentity identity;
  JobMetadata metadata;
  std::string runner_type;
  JobResult result = JobResult::kPassed;
  std::string finalize_reason;      // "command_exit", "terminate", "interrupted", ...
  std::uint64_t start_time_ns = 0;  // CLOCK_REALTIME
  std::uint64_t end_time_ns = 0;
  std::vector<std::string> command;
  int command_status = 0;      // exit code as the shell has it (128 + signal)
  bool command_known = false;  // false: the end of the command was not seen

  std::vector<RuleSetRef> rule_sets;
  std::uint64_t rule_count = 0;
  std::uint64_t rule_warnings = 0;           // that compiling them gave
  std::vector<DetectionSummary> detections;  // most severe, then first seen
  std::vector<ProgramUse> programs;          // most used first, at most 1,000
  std::vector<DestinationUse> destinations;  // most used first, at most 1,000
  std::vector<DomainUse> domains;            // most asked first, at most 1,000
  std::vector<SensitiveFileUse> sensitive_files;
  ProcessTraces traces;                    // of the processes of destinations and domains
  std::uint64_t observation_overflow = 0;  // programs, names, ... beyond the caps

  std::uint64_t events_total = 0;
  std::vector<std::uint64_t> events_by_type;  // indexed by EventType
  std::uint64_t events_dropped = 0;           // == losses.total()
  LossReport losses;
  std::vector<Coverage> coverage;
  std::uint64_t processes_total = 0;
  std::uint64_t processes_left = 0;  // still running when the grace time was over
  std::uint64_t sensor_restarts = 0;
  std::optional<TerminationSummary> termination;
  std::optional<EgressSummary> egress;  // none: no policy, no mode but observe
  std::vector<std::string> problems;    // why less than usual may have been seen, one sentence each
};

}  // namespace cicd
