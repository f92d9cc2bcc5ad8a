// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdint>
#include <sstream>

#include "agent/agent.h"
#include "config/values.h"
#include "wire/loss.h"

namespace cicd {

namespace {

template <typename T>
Result<T> read_number(const CommandLine& line, const char* flag, T most) {
  const std::string_view text = line.value(flag);
  T number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number > 0 && number <= most) {
    return number;
  }
  return fail(ErrorCode::kUsage,
              "--" + std::string(flag) + ": '" + std::string(text) + "' is not accepted",
              "a number from 1 to " + std::to_string(most));
}

Result<std::vector<std::string>> read_cgroups(const std::string& list) {
  std::vector<std::string> paths;
  std::istringstream items(list);
  for (std::string path; std::getline(items, path, ',');) {
    const std::string with_end = path + "/";
    const bool is_path =
        path.size() > 1 && path.front() == '/' && with_end.find("//") == std::string::npos &&
        with_end.find("/./") == std::string::npos && with_end.find("/../") == std::string::npos;
    if (!is_path) {
      return fail(ErrorCode::kUsage, "--build-cgroup: '" + path + "' is not accepted",
                  "the path of a cgroup below the v2 root, such as /docker/buildkit");
    }
    paths.push_back(path);
  }
  if (!paths.empty()) return paths;
  return fail(ErrorCode::kUsage, "--build-cgroup names no cgroup");
}

}  // namespace

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
  CICD_ASSIGN(options.build_cgroups, read_cgroups(std::string(line.value("build-cgroup"))));
  if (const auto paths = line.values.find("rules-file"); paths != line.values.end()) {
    options.rule_paths = paths->second;
  }
  options.has_baseline = !line.has("disable-baseline-rules");
  options.is_monitor_mode = line.has("monitor-mode");
  options.policy_path = line.value("policy");
  options.mode = egress_mode_of(line.value("mode")).value_or(EgressMode::kObserve);
  options.is_debug = line.has("debug");
  options.dedup = !line.has("no-dedup");
  options.backend_kind = line.value("backend");
  CICD_ASSIGN(options.job_ttl, parse_duration(line.value("job-ttl")));
  CICD_ASSIGN(options.shutdown_grace, parse_duration(line.value("shutdown-grace")));
  CICD_ASSIGN(options.keep_jobs, read_number<std::size_t>(line, "keep-jobs", SIZE_MAX));
  CICD_ASSIGN(options.max_jobs, read_number<std::uint32_t>(line, "max-jobs", CICD_SLOTS_MAX - 1));
  return options;
}

}  // namespace cicd
