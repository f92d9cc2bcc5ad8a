// SPDX-License-Identifier: Apache-2.0
#include "summary_reader.h"

#include <nlohmann/json.hpp>

#include "base/time_format.h"
#include "report/egress_reader.h"

namespace cicd::ctl {

namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::vector<std::string> texts_of(const json& object, const char* name) {
  std::vector<std::string> out;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return out;
  for (const json& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

// Calls `read` with each object of the list `name`.
template <typename Read>
void for_each(const json& object, const char* name, Read read) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return;
  for (const json& item : *found) {
    if (item.is_object()) read(item);
  }
}

void read_job(const json& root, JobSummary& summary) {
  const auto found = root.find("job");
  if (found == root.end() || !found->is_object()) return;
  JobIdentity& id = summary.identity;
  JobMetadata& data = summary.metadata;
  const std::pair<const char*, std::string*> members[] = {
      {"provider", &id.provider},
      {"provider_host", &id.provider_host},
      {"project_path", &id.project_path},
      {"job_key", &id.job_key},
      {"github_run_id", &id.github_run_id},
      {"github_job", &id.github_job},
      {"github_run_attempt", &id.github_run_attempt},
      {"github_runner_tracking_id", &id.github_runner_tracking_id},
      {"gitlab_job_id", &id.gitlab_job_id},
      {"job_link", &data.job_link},
      {"commit_sha", &data.commit_sha},
      {"ref_name", &data.ref_name},
      {"trigger", &data.trigger},
      {"actor_id", &data.actor_id},
      {"actor_name", &data.actor_name},
      {"github_workflow_ref", &data.github_workflow_ref},
      {"github_workflow_sha", &data.github_workflow_sha},
      {"github_workflow", &data.github_workflow},
      {"gitlab_job_name", &data.gitlab_job_name},
      {"gitlab_config_ref_uri", &data.gitlab_config_ref_uri},
      {"gitlab_pipeline_id", &data.gitlab_pipeline_id},
  };
  for (const auto& [name, to] : members) *to = text_of(*found, name);
}

RuleAction action_of(const std::string& name) {
  if (name == "terminate") return RuleAction::kTerminate;
  return name == "collect" ? RuleAction::kCollect : RuleAction::kDetect;
}

void read_rules(const json& root, JobSummary& summary) {
  for_each(root, "rulesets", [&](const json& set) {
    summary.rule_sets.push_back({text_of(set, "ruleset_id"), text_of(set, "revision")});
  });
  for_each(root, "detections", [&](const json& item) {
    DetectionSummary detection;
    detection.rule.ruleset_id = text_of(item, "ruleset_id");
    detection.rule.ruleset_revision = text_of(item, "ruleset_revision");
    detection.rule.rule.rule_id = text_of(item, "rule_id");
    detection.rule.rule.action = action_of(text_of(item, "action"));
    detection.count = number_of(item, "count");
    summary.detections.push_back(std::move(detection));
  });
  const std::string result = text_of(root, "result");
  if (result == "detected") summary.result = JobResult::kDetected;
  if (result == "terminated") summary.result = JobResult::kTerminated;
}

void read_evidence(const json& root, JobSummary& summary) {
  for_each(root, "losses", [&](const json& loss) {
    summary.losses.entries.push_back(
        {text_of(loss, "what"), text_of(loss, "reason"), number_of(loss, "count")});
  });
  summary.losses.repeated_sendmsg = number_of(root, "repeated_sendmsg");
  summary.losses.repeated_acts = number_of(root, "repeated_acts");
  summary.losses.repeated_opens = number_of(root, "repeated_opens");
  summary.losses.slowed_acts = number_of(root, "slowed_acts");
  for_each(root, "coverage", [&](const json& item) {
    const auto type = event_type_by_name(text_of(item, "event_type"));
    if (!type) return;
    const auto available = item.find("available");
    Coverage coverage{};
    coverage.type = *type;
    coverage.backend = text_of(item, "backend");
    coverage.available =
        available != item.end() && available->is_boolean() && available->get<bool>();
    coverage.limits = text_of(item, "limits");
    coverage.reason = text_of(item, "reason");
    summary.coverage.push_back(std::move(coverage));
  });
  summary.events_total = number_of(root, "events_total");
  summary.events_by_type.assign(kEventTypeCount, 0);
  if (const auto found = root.find("events_by_type"); found != root.end() && found->is_object()) {
    for (const EventTypeInfo& info : event_types()) {
      summary.events_by_type[static_cast<std::size_t>(info.type)] =
          number_of(*found, std::string(info.name).c_str());
    }
  }
  summary.problems = texts_of(root, "monitoring_problems");
}

void read_uses(const json& root, JobSummary& summary) {
  for_each(root, "destinations", [&](const json& item) {
    DestinationUse use;
    use.remote_ip = text_of(item, "remote_ip");
    use.domain = text_of(item, "domain");
    use.protocol = text_of(item, "protocol");
    use.remote_port = static_cast<std::uint16_t>(number_of(item, "remote_port"));
    use.count = number_of(item, "count");
    use.exec_paths = texts_of(item, "exec_paths");
    use.process_overflow_count = number_of(item, "process_overflow_count");
    use.first_ns = parse_rfc3339(text_of(item, "first_seen")).value_or(0);
    use.last_ns = parse_rfc3339(text_of(item, "last_seen")).value_or(0);
    use.step = text_of(item, "step");
    use.traffic = read_traffic(item);
    summary.destinations.push_back(std::move(use));
  });
  for_each(root, "domain_observations", [&](const json& item) {
    summary.domains.push_back({text_of(item, "domain"), number_of(item, "count"),
                               texts_of(item, "exec_paths"),
                               number_of(item, "process_overflow_count")});
  });
  for_each(root, "sensitive_files", [&](const json& item) {
    summary.sensitive_files.push_back({text_of(item, "path"), text_of(item, "kind"),
                                       number_of(item, "reads"), number_of(item, "writes"),
                                       texts_of(item, "exec_paths")});
  });
}

void read_end(const json& root, JobSummary& summary) {
  summary.runner_type = text_of(root, "runner_type");
  summary.finalize_reason = text_of(root, "finalize_reason");
  summary.start_time_ns = parse_rfc3339(text_of(root, "start_time")).value_or(0);
  summary.end_time_ns = parse_rfc3339(text_of(root, "end_time")).value_or(0);
  summary.command = texts_of(root, "command");
  summary.command_known = root.contains("exit_code");
  summary.command_status = static_cast<int>(number_of(root, "exit_code"));
  summary.sensor_restarts = number_of(root, "sensor_restarts");
  if (const auto found = root.find("processes"); found != root.end() && found->is_object()) {
    summary.processes_total = number_of(*found, "total");
    summary.processes_left = number_of(*found, "left_running");
  }
  const auto ended = root.find("termination");
  if (ended == root.end() || !ended->is_object()) return;
  summary.termination = TerminationSummary{text_of(*ended, "ruleset_id"),
                                           text_of(*ended, "rule_id"),
                                           parse_rfc3339(text_of(*ended, "time")).value_or(0),
                                           number_of(*ended, "duration_us"),
                                           number_of(*ended, "processes"),
                                           number_of(*ended, "escaped_processes"),
                                           number_of(*ended, "left_running"),
                                           text_of(*ended, "method")};
}

}  // namespace

Result<JobSummary> read_summary(const std::string& text) {
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded() || !root.is_object() ||
      text_of(root, "log_type") != "cicd_sensor.summary") {
    return fail(ErrorCode::kInvalidInput, "it is no summary of cicd-sensor");
  }
  JobSummary summary;
  read_job(root, summary);
  read_rules(root, summary);
  read_evidence(root, summary);
  read_uses(root, summary);
  read_end(root, summary);
  summary.egress = read_egress(root);
  return summary;
}

}  // namespace cicd::ctl
