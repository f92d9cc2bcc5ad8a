// SPDX-License-Identifier: Apache-2.0
// The agent: watches the jobs of this host that ask for it on a socket, until it is told to stop.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/parse.h"
#include "egress/verdict.h"

namespace cicd {

struct AgentOptions {
  std::string provider;
  std::string runner_type;
  std::string socket_path;
  std::string state_dir;
  std::vector<std::string> build_cgroups;
  std::vector<std::string> rule_paths;
  bool has_baseline = true;
  bool is_monitor_mode = false;
  std::string policy_path;  // empty: none
  EgressMode mode = EgressMode::kObserve;
  bool is_debug = false;
  bool dedup = true;
  std::string backend_kind;
  std::chrono::milliseconds job_ttl{};
  std::chrono::milliseconds shutdown_grace{};
  std::size_t keep_jobs = 50;
  std::uint32_t max_jobs = 1'000;  // at once
};

Result<AgentOptions> read_agent_options(const CommandLine& line);

// Returns the exit code. Blocks the calling thread; SIGTERM and SIGINT end it.
int run_agent(const AgentOptions& options);

}  // namespace cicd
