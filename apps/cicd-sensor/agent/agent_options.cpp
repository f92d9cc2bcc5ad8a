// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "agent/agent.h"
#include "config/values.h"

namespace cicd {

Result<AgentOptions> read_agent_options(const CommandLine& line) {
  AgentOptions options;
  for (const char* required : {"provider", "runner"}) {
    if (line.has(required)) continue;
    return fail(ErrorCode::kUsage, "--" + std::string(required) + " is required",
                "cicd-sensor agent start --provider github --runner machine");
  }
  options.provider = line.value("provider");
  options.runner_type = line.value("runner");
  options.socket_path = line.value("socket");
  options.state_dir = line.value("state-dir");
  options.build_cgroup = line.value("build-cgroup");
  const std::string with_end = options.build_cgroup + "/";
  const bool is_path = options.build_cgroup.size() > 1 && with_end.front() == '/' &&
                       with_end.find("//") == std::string::npos &&
                       with_end.find("/./") == std::string::npos &&
                       with_end.find("/../") == std::string::npos;
  if (!is_path) {
    return fail(ErrorCode::kUsage, "--build-cgroup: '" + options.build_cgroup + "' is not accepted",
                "the path of a cgroup below the v2 root, such as /docker/buildkit");
  }
  if (const auto paths = line.values.find("rules-file"); paths != line.values.end()) {
    options.rule_paths = paths->second;
  }
  options.has_baseline = !line.has("disable-baseline-rules");
  options.is_monitor_mode = line.has("monitor-mode");
  options.is_debug = line.has("debug");
  options.dedup = !line.has("no-dedup");
  options.backend_kind = line.value("backend");
  CICD_ASSIGN(options.job_ttl, parse_duration(line.value("job-ttl")));
  CICD_ASSIGN(options.shutdown_grace, parse_duration(line.value("shutdown-grace")));
  const std::string_view keep = line.value("keep-jobs");
  const auto [end, error] =
      std::from_chars(keep.data(), keep.data() + keep.size(), options.keep_jobs);
  if (error != std::errc() || end != keep.data() + keep.size() || options.keep_jobs == 0) {
    return fail(ErrorCode::kUsage, "--keep-jobs: '" + std::string(keep) + "' is not accepted",
                "a number from 1 on");
  }
  return options;
}

}  // namespace cicd
