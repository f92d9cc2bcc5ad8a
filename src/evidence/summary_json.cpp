// SPDX-License-Identifier: Apache-2.0
#include "evidence/summary_json.h"

#include <algorithm>
#include <set>

#include "base/json_writer.h"
#include "base/time_format.h"
#include "base/uuid.h"
#include "base/version.h"
#include "event/redact.h"
#include "evidence/egress_json.h"
#include "evidence/process_json.h"
#include "evidence/row_writer.h"

namespace cicd {

namespace {

void append_strings(JsonWriter& json, std::string_view name, const std::set<std::string>& values) {
  if (values.empty()) return;
  json.key(name);
  json.begin_array();
  for (const std::string& value : values) json.string(value);
  json.end_array();
}

// Opens the array `name` and calls `write` for each item in its own object; nothing when empty.
template <typename Items, typename Write>
void append_objects(JsonWriter& json, std::string_view name, const Items& items, Write write) {
  if (items.empty()) return;
  json.key(name);
  json.begin_array();
  for (const auto& item : items) {
    json.begin_object();
    write(item);
    json.end_object();
  }
  json.end_array();
}

void append_paths(JsonWriter& json, std::string_view name, const std::vector<std::string>& paths) {
  append_argv(json, name, paths, false, SIZE_MAX);
}

void append_envelope(JsonWriter& json, const FileSinkOptions& options, const JobSummary& summary) {
  const std::uint64_t now_ns = realtime_now_ns();
  json.time_member("timestamp", summary.end_time_ns != 0 ? summary.end_time_ns : now_ns);
  json.member("log_type", "cicd_sensor.summary");
  json.member("service_name", "cicd-sensor");
  json.member("service_version", version());
  json.member("schema_version", "v1");
  json.member("log_id", UuidV7Generator().next(now_ns).view());
  json.member("result", name_of(summary.result));
  json.key("job");
  json.begin_object();
  append_job_members(json, summary.identity, summary.metadata);
  json.end_object();
  json.member("scope", options.scope);
  json.member("runner_type", summary.runner_type);
}

// Members of the compatible format, after the envelope.
void append_compatible(JsonWriter& json, const JobSummary& summary) {
  json.member("config_revision", "(none)");
  append_objects(json, "rulesets", summary.rule_sets, [&](const RuleSetRef& set) {
    json.member("ruleset_id", set.ruleset_id);
    json.member("revision", set.revision);
  });
  std::set<std::string> addresses;
  std::set<std::string> domains;
  for (const DestinationUse& use : summary.destinations) {
    addresses.insert(use.remote_ip);
    if (!use.domain.empty()) domains.insert(use.domain);
  }
  for (const DomainUse& use : summary.domains) domains.insert(use.domain);
  append_strings(json, "network_connects", addresses);
  append_strings(json, "domains", domains);

  std::vector<const DetectionSummary*> detections;
  for (const DetectionSummary& detection : summary.detections) detections.push_back(&detection);
  std::ranges::sort(detections, [](const DetectionSummary* a, const DetectionSummary* b) {
    return std::tie(a->rule.ruleset_id, a->rule.rule.rule_id) <
           std::tie(b->rule.ruleset_id, b->rule.rule.rule_id);
  });
  append_objects(json, "detections", detections, [&](const DetectionSummary* detection) {
    json.member("ruleset_id", detection->rule.ruleset_id);
    json.member("rule_id", detection->rule.rule.rule_id);
    json.member("ruleset_revision", detection->rule.ruleset_revision);
    json.member("action", name_of(detection->rule.rule.action));
    json.member_number("count", detection->count);
  });
  json.member_number("events_total", summary.events_total);
  json.member_number("events_dropped", summary.events_dropped);
  json.time_member("start_time", summary.start_time_ns);
  json.time_member("end_time", summary.end_time_ns);
  json.key("duration_s");
  const bool is_forward = summary.end_time_ns > summary.start_time_ns;
  json.number_string(is_forward ? (summary.end_time_ns - summary.start_time_ns) / 1'000'000'000
                                : 0);
  json.member("finalize_reason", summary.finalize_reason);
}

void append_losses(JsonWriter& json, const JobSummary& summary) {
  json.key("losses");
  json.begin_array();
  for (const LossEntry& entry : summary.losses.entries) {
    json.begin_object();
    json.member("what", entry.what);
    json.member("reason", entry.reason);
    json.member_number("count", entry.count);
    json.end_object();
  }
  json.end_array();
  json.member_number("repeated_sendmsg", summary.losses.repeated_sendmsg);
  json.member_number("repeated_acts", summary.losses.repeated_acts);
  json.member_number("repeated_opens", summary.losses.repeated_opens);
  json.member_number("slowed_acts", summary.losses.slowed_acts);
}

void append_coverage(JsonWriter& json, const JobSummary& summary) {
  append_objects(json, "coverage", summary.coverage, [&](const Coverage& coverage) {
    json.member("event_type", info_of(coverage.type).name);
    json.member("backend", coverage.backend);
    json.key("available");
    json.boolean(coverage.available);
    json.member_if("limits", coverage.limits);
    json.member_if("reason", coverage.reason);
  });
}

void append_observations(JsonWriter& json, const JobSummary& summary) {
  append_objects(json, "programs", summary.programs, [&](const ProgramUse& use) {
    json.member("exec_path", use.exec_path);
    json.member_number("count", use.count);
  });
  append_objects(json, "destinations", summary.destinations, [&](const DestinationUse& use) {
    json.member("remote_ip", use.remote_ip);
    json.member_number("remote_port", use.remote_port);
    json.member("protocol", use.protocol);
    json.member_if("domain", use.domain);
    if (use.is_ambiguous) {
      json.key("is_ambiguous");
      json.boolean(true);
    }
    json.member_number("count", use.count);
    append_paths(json, "exec_paths", use.exec_paths);
    json.member_number("process_overflow_count", use.process_overflow_count);
    if (use.first_ns != 0) json.time_member("first_seen", use.first_ns);
    if (use.last_ns != 0) json.time_member("last_seen", use.last_ns);
    json.member_if("step", use.step);
    append_traffic(json, use.traffic);
  });
  append_objects(json, "domain_observations", summary.domains, [&](const DomainUse& use) {
    json.member("domain", use.domain);
    json.member_number("count", use.count);
    append_paths(json, "exec_paths", use.exec_paths);
    json.member_number("process_overflow_count", use.process_overflow_count);
  });
  append_objects(json, "sensitive_files", summary.sensitive_files,
                 [&](const SensitiveFileUse& use) {
                   json.member("path", use.path);
                   json.member("kind", use.kind);
                   json.member_number("reads", use.reads);
                   json.member_number("writes", use.writes);
                   append_paths(json, "exec_paths", use.exec_paths);
                 });
  json.member_number("observation_overflow", summary.observation_overflow);
}

void append_termination(JsonWriter& json, const TerminationSummary& termination) {
  json.key("termination");
  json.begin_object();
  json.member("ruleset_id", termination.ruleset_id);
  json.member("rule_id", termination.rule_id);
  json.time_member("time", termination.time_ns);
  json.member_number("duration_us", termination.duration_us);
  json.member_number("processes", termination.processes);
  json.member_number("escaped_processes", termination.escaped_processes);
  json.member_number("left_running", termination.processes_left);
  json.member("method", termination.method);
  json.end_object();
}

// What is ours, after everything that other programs know.
void append_additions(JsonWriter& json, const FileSinkOptions& options, const JobSummary& summary) {
  append_argv(json, "command", summary.command, options.redact_process_args, SIZE_MAX);
  if (summary.command_known) json.member_number("exit_code", summary.command_status);
  json.key("events_by_type");
  json.begin_object();
  for (std::size_t i = 0; i < summary.events_by_type.size(); ++i) {
    json.member_number(event_types()[i].name, summary.events_by_type[i]);
  }
  json.end_object();
  append_losses(json, summary);
  append_coverage(json, summary);
  append_observations(json, summary);
  json.key("processes");
  json.begin_object();
  json.member_number("total", summary.processes_total);
  json.member_number("left_running", summary.processes_left);
  json.end_object();
  json.member_number("sensor_restarts", summary.sensor_restarts);
  if (summary.termination) append_termination(json, *summary.termination);
  append_paths(json, "monitoring_problems", summary.problems);
  if (summary.egress) append_egress(json, *summary.egress);
}

}  // namespace

std::string render_summary_json(const FileSinkOptions& options, const JobSummary& summary) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  append_envelope(json, options, summary);
  append_compatible(json, summary);
  append_additions(json, options, summary);
  json.end_object();
  out.push_back('\n');
  return out;
}

}  // namespace cicd
