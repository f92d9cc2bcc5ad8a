// SPDX-License-Identifier: Apache-2.0
#include "run/run_options.h"

#include <algorithm>
#include <filesystem>

#include "config/values.h"

namespace cicd {

namespace {

std::string current_folder_name() {
  std::error_code error;
  const std::string name = std::filesystem::current_path(error).filename().string();
  return name.empty() ? "job" : name;
}

FailOn fail_on_of(std::string_view text) {
  if (text == "detect") return FailOn::kDetect;
  if (text == "violation") return FailOn::kViolation;
  return text == "terminate" ? FailOn::kTerminate : FailOn::kNever;
}

}  // namespace

Result<RunOptions> read_replay_options(const CommandLine& line) {
  RunOptions options;
  if (line.has("rules")) options.rule_paths = line.values.at("rules");
  options.has_baseline = line.value("baseline") == "on";
  options.output_dir = line.value("output");
  auto listed = parse_list(line.value("report"), "terminal|json|html");
  if (!listed) return std::unexpected(std::move(listed.error()).with_context("--report"));
  const std::vector<std::string>& reports = *listed;
  options.wants_terminal_report = std::ranges::find(reports, "terminal") != reports.end();
  options.wants_summary_file = std::ranges::find(reports, "json") != reports.end();
  options.wants_html_report = std::ranges::find(reports, "html") != reports.end();
  options.name = line.value("name");
  options.fail_on = fail_on_of(line.value("fail-on"));
  options.policy_path = line.value("policy");
  if (options.fail_on == FailOn::kViolation && options.policy_path.empty()) {
    return fail(ErrorCode::kUsage, "--fail-on violation: there is no policy to violate",
                "name one with --policy");
  }
  options.is_quiet = line.has("quiet");
  return options;
}

Result<RunOptions> read_run_options(const CommandLine& line, std::optional<JobDescription> ci_job) {
  CICD_ASSIGN(RunOptions options, read_replay_options(line));
  options.ci_job = std::move(ci_job);
  if (options.name.empty()) {
    options.name = options.ci_job ? options.ci_job->identity.project_path : current_folder_name();
  }
  auto grace = parse_duration(line.value("grace"));
  if (!grace) return std::unexpected(std::move(grace.error()).with_context("--grace"));
  options.grace = *grace;
  options.is_monitor_mode = line.has("monitor-mode");
  options.record_path = line.value("record");
  options.user = line.value("user");
  options.btf_path = line.value("btf");
  options.is_strict = line.has("strict");
  options.reports_repeats = line.has("no-dedup");
  options.captures_tls = line.has("tls-capture");
  options.backend_kind = line.value("backend");
  options.mode = egress_mode_of(line.value("mode")).value_or(EgressMode::kObserve);
  options.state_dir = line.value("state-dir");
  if (options.mode == EgressMode::kEnforce && options.policy_path.empty()) {
    return fail(ErrorCode::kUsage, "--mode enforce: there is no policy to enforce",
                "name one with --policy");
  }
  options.command = line.command_to_run;
  return options;
}

}  // namespace cicd
