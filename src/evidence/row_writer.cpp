// SPDX-License-Identifier: Apache-2.0
#include "evidence/row_writer.h"

#include "base/version.h"
#include "evidence/process_json.h"
#include "evidence/violation_row.h"

namespace cicd {

namespace {

// Pictures of processes kept rendered: ids are dense, so a direct-mapped table serves what is
// recent. With kMaxCachedBytes each it stays below 32 MiB whatever a job does.
constexpr std::size_t kCacheEntries = 256;
constexpr std::size_t kMaxCachedBytes = 32 * 1'024;

struct MarkTag {
  std::uint32_t mark;
  std::string_view tag;
};

// No EventMarks: they follow from the process.
constexpr std::uint32_t kMarkTruncatedExecPath = std::uint32_t{1} << 31;
constexpr std::uint32_t kMarkUnreachableExecPath = std::uint32_t{1} << 30;

// In the order they are written: sorted.
constexpr MarkTag kMarkTags[] = {
    {kMarkAmbiguousDomain, "ambiguous:domain"},
    {kMarkDeletedPath, "deleted:path"},
    {kMarkEscaped, "escaped:cgroup"},
    {kMarkFaultPath, "fault:path"},
    {kMarkTruncatedArgv, "truncated:argv"},
    {kMarkTruncatedExecPath, "truncated:exec_path"},
    {kMarkTruncatedPath, "truncated:path"},
    {kMarkUnknownProcess, "unknown:process"},
    {kMarkUnreachableExecPath, "unreachable:exec_path"},
    {kMarkUnreachablePath, "unreachable:path"},
    {kMarkUnresolvedPath, "unresolved:path"},
    {kMark32Bit, "via:32bit"},
    {kMarkIoUring, "via:io_uring"},
    {kMarkSendmsg, "via:sendmsg"},
    {kMarkTruncate, "via:truncate"},
};

void append_tags(JsonWriter& json, const EventRecord& record) {
  const ExecImage& image = *record.process->image;
  std::uint32_t marks = record.marks;
  if (image.argv_truncated) marks |= kMarkTruncatedArgv;
  if (image.exec_path_truncated) marks |= kMarkTruncatedExecPath;
  if (image.exec_path_unreachable) marks |= kMarkUnreachableExecPath;
  if (!image.is_known) marks |= kMarkUnknownProcess;
  if (marks == 0) return;
  json.key("tags");
  json.begin_array();
  for (const MarkTag& entry : kMarkTags) {
    if ((marks & entry.mark) != 0) json.string(entry.tag);
  }
  json.end_array();
}

void append_payload(JsonWriter& json, const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  json.key(info.name);
  json.begin_object();
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    const FieldInfo& field = info.fields[i];
    const FieldValue& value = record.fields[i];
    const bool is_zero =
        field.type == FieldType::kString ? value.text().empty() : value.number() == 0;
    if (is_zero && field.json != JsonForm::kAlways) continue;
    if (field.type == FieldType::kString) {
      json.member(field.json_name, value.text());
      continue;
    }
    json.key(field.json_name);
    if (field.type == FieldType::kBool) {
      json.boolean(value.number() != 0);
    } else if (field.json == JsonForm::kInt64String) {
      json.number_string(value.number());
    } else {
      json.number(value.number());
    }
  }
  json.end_object();
}

void append_container(JsonWriter& json, const Container& container) {
  json.key("container");
  json.begin_object();
  json.member("id", container.id);
  json.member_if("runtime", container.runtime);
  json.end_object();
}

void append_rule(JsonWriter& json, const CompiledRule& rule, bool is_last_alert,
                 std::string& scratch) {
  json.member("ruleset_id", rule.ruleset_id);
  json.member("rule_id", rule.rule.rule_id);
  json.member("ruleset_revision", rule.ruleset_revision);
  json.member("rule_name", rule.rule.rule_name);
  json.member("rule_description", rule.rule.description);
  json.member("action", name_of(rule.rule.action));
  json.member("rule_alert_truncation",
              is_last_alert ? "max_alerts of this rule is reached: later hits are counted in the "
                              "summary and written no more"
                            : "");
  if (rule.rule.tags.empty()) return;
  json.key("rule_tags");
  json.begin_array();
  for (const auto& [key, value] : rule.rule.tags) {
    scratch.assign(key).append(":").append(value);
    json.string(scratch);
  }
  json.end_array();
}

}  // namespace

void append_step(JsonWriter& json, const Step& step) {
  json.key("step");
  json.begin_object();
  json.member_if("id", step.id);
  json.member("name", step.name);
  json.end_object();
}

std::uint32_t mark_of_tag(std::string_view tag) {
  for (const MarkTag& entry : kMarkTags) {
    const bool is_mark = entry.mark < kMarkUnreachableExecPath;
    if (is_mark && entry.tag == tag) return entry.mark;
  }
  return 0;
}

void append_job_members(JsonWriter& json, const JobIdentity& identity,
                        const JobMetadata& metadata) {
  json.member_if("provider", identity.provider);
  json.member_if("provider_host", identity.provider_host);
  json.member_if("project_path", identity.project_path);
  json.member_if("job_link", metadata.job_link);
  json.member_if("commit_sha", metadata.commit_sha);
  json.member_if("ref_name", metadata.ref_name);
  json.member_if("trigger", metadata.trigger);
  json.member_if("actor_id", metadata.actor_id);
  json.member_if("actor_name", metadata.actor_name);
  json.member_if("github_run_id", identity.github_run_id);
  json.member_if("github_job", identity.github_job);
  json.member_if("github_run_attempt", identity.github_run_attempt);
  json.member_if("github_runner_tracking_id", identity.github_runner_tracking_id);
  json.member_if("github_workflow_ref", metadata.github_workflow_ref);
  json.member_if("github_workflow_sha", metadata.github_workflow_sha);
  json.member_if("github_workflow", metadata.github_workflow);
  json.member_if("gitlab_job_id", identity.gitlab_job_id);
  json.member_if("gitlab_job_name", metadata.gitlab_job_name);
  json.member_if("gitlab_config_ref_uri", metadata.gitlab_config_ref_uri);
  json.member_if("gitlab_pipeline_id", metadata.gitlab_pipeline_id);
  json.member_if("job_key", identity.job_key);
}

RowWriter::RowWriter(const RowOptions& options)
    : redact_process_args_(options.redact_process_args), cache_(kCacheEntries) {
  JsonWriter json(job_json_);
  json.key("job");
  json.begin_object();
  append_job_members(json, options.identity, options.metadata);
  json.end_object();
  json.member("scope", options.scope);
  json.member("runner_type", options.runner_type);
  JsonWriter provider(provider_json_);
  append_provider(provider, options.identity, options.metadata);
}

void RowWriter::append_envelope(std::string& out, std::string_view log_type,
                                const EventRecord& record) {
  JsonWriter json(out);
  json.begin_object();
  json.key("timestamp");
  out.push_back('"');
  time_.append(out, record.time_ns);
  out.append("\",\"log_type\":\"cicd_sensor.").append(log_type);
  out.append("\",\"service_name\":\"cicd-sensor\"");
  json.member("service_version", version());
  out.append(",\"schema_version\":\"v1\",\"log_id\":\"");
  now_ns_ = realtime_now_ns();
  out.append(uuids_.next(now_ns_).view()).append("\"");
  json.raw(job_json_);
}

void RowWriter::append_event_object(std::string& out, const EventRecord& record,
                                    bool has_whole_argv) {
  JsonWriter json(out);
  json.key("event");
  json.begin_object();
  out.append("\"id\":\"").append(event_id_.view()).append("\",\"type\":\"");
  out.append(info_of(record.type).name).append("\"");
  append_tags(json, record);
  append_process(out, record, has_whole_argv);
  append_payload(json, record);
  if (record.container) append_container(json, *record.container);
  if (record.step) append_step(json, *record.step);
  json.end_object();
}

void RowWriter::append_process(std::string& out, const EventRecord& record, bool has_whole_argv) {
  const Process& process = *record.process;
  const std::uint64_t boot_epoch_ns = record.time_ns - record.boot_time_ns;
  JsonWriter json(out);
  json.key("process");
  if (has_whole_argv && !fits(process.image->argv, kMaxRepeatedArgvBytes)) {
    append_process_object(json, process, boot_epoch_ns, redact_process_args_, SIZE_MAX);
    return;
  }
  CachedProcess& cached = cache_[process.id % kCacheEntries];
  // Id 0 is nobody's (a record made without a tracker): never cached.
  if (process.id != 0 && cached.id == process.id) return json.raw(cached.json);
  const std::size_t begin = out.size();
  append_process_object(json, process, boot_epoch_ns, redact_process_args_, kMaxRepeatedArgvBytes);
  if (process.id == 0 || out.size() - begin > kMaxCachedBytes) return;
  cached.id = process.id;
  cached.json.assign(out, begin);
}

void RowWriter::append_event(std::string& out, const EventRecord& record) {
  append_envelope(out, "runtime_event", record);
  event_id_ = uuids_.next(now_ns_);
  last_event_ = &record;
  append_event_object(out, record, record.type == EventType::kProcessExec);
  out.append("}\n");
}

void RowWriter::append_detection(std::string& out, const EventRecord& record,
                                 const CompiledRule& rule, bool is_last_alert) {
  append_envelope(out, "detection", record);
  if (last_event_ != &record) event_id_ = uuids_.next(now_ns_);
  last_event_ = &record;
  JsonWriter json(out);
  append_rule(json, rule, is_last_alert, scratch_);
  append_event_object(out, record, true);
  out.append("}\n");
}

}  // namespace cicd
