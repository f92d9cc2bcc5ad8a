// SPDX-License-Identifier: Apache-2.0
// RunOptions: the flags of `cicd-sensor run` with their types, and the policy that one names.
// Pure data.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/parse.h"
#include "egress/job_egress.h"
#include "egress/policy.h"
#include "job/identity.h"

namespace cicd {

// provider_host of every job of `run`, in its rows and for the targets of rules.
inline constexpr const char* kLocalProviderHost = "local";

enum class FailOn { kNever, kDetect, kTerminate, kViolation };

struct RunOptions {
  std::vector<std::string> rule_paths;
  bool has_baseline = true;
  std::string output_dir;
  bool wants_terminal_report = true;
  bool wants_summary_file = true;
  bool wants_html_report = true;
  std::string name;
  std::optional<JobDescription> ci_job;  // that the run is in, as the environment tells it
  FailOn fail_on = FailOn::kNever;
  bool is_monitor_mode = false;  // `terminate` only detects
  std::chrono::milliseconds grace{};
  std::string record_path;  // empty: no recording is kept
  std::string user;         // empty: the invoking user
  std::string policy_path;  // empty: none
  EgressMode mode = EgressMode::kObserve;
  std::string state_dir;                       // of mode learn
  std::shared_ptr<const EgressPolicy> policy;  // of policy_path, once load_policy() has read it
  std::shared_ptr<const JobEgress> egress;     // the same for the kernel; null: nothing is denied
  bool is_quiet = false;
  bool reports_repeats = false;  // of opens
  std::string btf_path;          // empty: the kernel's own
  std::string backend_kind;      // of LiveOptions; empty: the best
  bool is_strict = false;        // 32-bit system calls too
  bool captures_tls = false;
  std::vector<std::string> command;
  std::vector<std::string> arguments;  // all of the command line, as given
};

Result<RunOptions> read_run_options(const CommandLine& line,
                                    std::optional<JobDescription> ci_job = std::nullopt);
// Only what `replay` has: rules, policy, outputs, name (empty when not given), fail_on, is_quiet.
Result<RunOptions> read_replay_options(const CommandLine& line);

}  // namespace cicd
