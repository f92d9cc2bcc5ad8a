// SPDX-License-Identifier: Apache-2.0
// The row of a violation: RowWriter::append_violation and what only it needs.
#include "evidence/violation_row.h"

#include <array>

#include "evidence/process_json.h"
#include "evidence/row_writer.h"

namespace cicd {

namespace {

// What the kernel calls a process: the name of its program, cut.
constexpr std::size_t kMaxCommBytes = 15;

std::string_view comm_of(const ExecImage& image) {
  const std::string_view path = image.script_path.empty() ? image.exec_path : image.script_path;
  const std::size_t slash = path.rfind('/');
  return path.substr(slash == path.npos ? 0 : slash + 1).substr(0, kMaxCommBytes);
}

// From the oldest that a row holds down to the process itself.
void append_ancestry(JsonWriter& json, const Process& process) {
  std::array<const Process*, kMaxAncestorsInRow + 1> chain{};
  std::size_t length = 0;
  for (const Process* at = &process; at != nullptr && length < chain.size();
       at = at->parent.get()) {
    chain[length++] = at;
  }
  json.key("ancestry");
  json.begin_array();
  while (length > 0) {
    const Process& each = *chain[--length];
    json.begin_object();
    if (each.pid != 0) json.member_number("pid", each.pid);
    json.member("comm", comm_of(*each.image));
    json.member("binary", each.image->exec_path);
    json.end_object();
  }
  json.end_array();
}

void append_policy(JsonWriter& json, const Violation& violation, const PolicyRef& policy) {
  json.key("policy");
  json.begin_object();
  json.member("scope", policy.scope);
  json.member_if("profile", policy.profile);
  json.member_if("rule_id", violation.rule_id);
  json.member("version", policy.version);
  json.end_object();
}

void append_destination(JsonWriter& json, const Violation& violation) {
  json.key("destination");
  json.begin_object();
  json.member_if("host", violation.host);
  json.member_if("host_source", violation.host_source);
  json.member_if("ip", violation.ip);
  if (violation.port != 0) json.member_number("port", violation.port);
  json.member("proto", violation.protocol);
  json.end_object();
}

}  // namespace

void append_provider(JsonWriter& json, const JobIdentity& identity, const JobMetadata& metadata) {
  json.member_if("job_link", metadata.job_link);
  if (identity.provider == "github") {
    json.key("github");
    json.begin_object();
    json.member_if("repository", identity.project_path);
    json.member_if("run_id", identity.github_run_id);
    json.member_if("run_attempt", identity.github_run_attempt);
    json.member_if("job", identity.github_job);
    json.member_if("workflow", metadata.github_workflow);
    json.member_if("ref", metadata.ref_name);
    json.member_if("sha", metadata.commit_sha);
    json.end_object();
  } else if (identity.provider == "gitlab") {
    json.key("gitlab");
    json.begin_object();
    json.member_if("project", identity.project_path);
    json.member_if("pipeline_id", metadata.gitlab_pipeline_id);
    json.member_if("job_id", identity.gitlab_job_id);
    json.member_if("job_name", metadata.gitlab_job_name);
    json.member_if("ref", metadata.ref_name);
    json.end_object();
  }
}

void RowWriter::append_culprit(std::string& out, const Process& process) const {
  JsonWriter json(out);
  const ExecImage& image = *process.image;
  json.key("process");
  json.begin_object();
  if (process.pid != 0) json.member_number("pid", process.pid);
  json.member("comm", comm_of(image));
  json.member("binary", image.exec_path);
  append_argv(json, "argv", image.argv, redact_process_args_, kMaxAncestorArgvBytes);
  append_ancestry(json, process);
  json.end_object();
}

void RowWriter::append_violation(std::string& out, const Violation& violation,
                                 const PolicyRef& policy) {
  const EventRecord& record = *violation.record;
  append_envelope(out, "violation", record);
  JsonWriter json(out);
  json.key("ts");
  out.push_back('"');
  time_.append(out, record.time_ns);
  out.push_back('"');
  json.member("verdict", name_of(violation.verdict));
  json.member("reason", name_of(violation.reason));
  append_policy(json, violation, policy);
  append_culprit(out, *record.process);
  append_destination(json, violation);
  json.member_number("bytes", violation.bytes);
  json.member_number("packets", violation.packets);
  json.member_number("count", violation.count);
  if (record.step) append_step(json, *record.step);
  if (!provider_json_.empty()) json.raw(provider_json_);
  out.append("}\n");
}

}  // namespace cicd
