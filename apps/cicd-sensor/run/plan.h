// SPDX-License-Identifier: Apache-2.0
// RunPlan: all that `run` finds out before anything is made: rules compiled, the command found, the
// users, the place in the cgroup hierarchy, names for everything. A mistake of the caller ends
// here, with nothing to undo. Pure data; made and used by the front.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "job/command_user.h"
#include "job/job_cgroup.h"
#include "rule/program.h"
#include "run/run_options.h"
#include "run/run_state.h"

namespace cicd {

struct RunPlan {
  RunOptions options;
  std::shared_ptr<const Program> program;
  CommandUser owner;         // of the output files
  CommandUser command_user;  // of the command
  std::string command_path;
  CgroupPlace place;
  RunNames names;
};

// Why there is no plan, and with which code to exit.
struct PlanFailure {
  Error error;
  int exit_code = 0;
};

// Prints the diagnostics of rules as it goes.
std::expected<RunPlan, PlanFailure> plan_run(RunOptions options);

// Who called, through sudo or not: whose files the outputs are.
Result<CommandUser> find_owner();

// Rules of the given files and, when wanted, the baseline. Prints diagnostics.
Result<std::shared_ptr<const Program>> load_program(const RunOptions& options);

// Reads the policy that the options name into them, for the job of that name. Prints diagnostics.
Result<> load_policy(RunOptions& options);

// kPermission when this process has not the capabilities for BPF; the hint is the command line that
// would work.
Result<void> check_capabilities(const std::vector<std::string>& arguments);

}  // namespace cicd
