// SPDX-License-Identifier: Apache-2.0
#include "evidence/result_document.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "base/json_writer.h"
#include "base/version.h"
#include "evidence/egress_json.h"
#include "evidence/process_json.h"
#include "evidence/row_writer.h"

namespace cicd {

namespace {

constexpr std::size_t kMostProcesses = 10;

class Writer {
 public:
  Writer(const JobSummary& summary, const ResultOptions& options)
      : summary_(summary), options_(options) {}

  std::string write();

 private:
  // What is too large already gets no larger: a job decides how much there is to tell.
  bool is_full() const { return out_.size() > options_.max_bytes; }

  void write_job();
  void write_results();
  void write_trace(std::uint32_t index);
  void write_processes(const std::vector<const ProcessUse*>& uses);
  void write_connections();
  void write_domains();
  void write_hits();
  void write_hit(const DetectionSummary& hit);
  void write_alert(const AlertSummary& alert);
  void write_image(const ExecImage& image, std::size_t max_argv_bytes);

  const JobSummary& summary_;
  const ResultOptions& options_;
  std::string out_;
  JsonWriter json_{out_};
};

void Writer::write_job() {
  json_.key("job_identity");
  json_.begin_object();
  for (const IdentityField& field : identity_fields()) {
    json_.member_if(field.name, summary_.identity.*field.member);
  }
  json_.end_object();
  json_.key("metadata");
  json_.begin_object();
  for (const MetadataField& field : metadata_fields()) {
    json_.member_if(field.name, summary_.metadata.*field.member);
  }
  json_.end_object();
  json_.member("runner_type", summary_.runner_type);
  json_.time_member("started_at", summary_.start_time_ns);
  json_.time_member("generated_at", summary_.end_time_ns);
  json_.member("finalize_reason", summary_.finalize_reason);
}

void Writer::write_results() {
  json_.key("rules_summary");
  json_.begin_object();
  json_.member_number("rule_count", summary_.rule_count);
  json_.member_number("warnings_count", summary_.rule_warnings);
  json_.end_object();
  json_.key("result_summary");
  json_.begin_object();
  json_.member("result", name_of(summary_.result));
  json_.end_object();
}

void Writer::write_trace(std::uint32_t index) {
  const ProcessTraces& known = summary_.traces;
  const ProcessTraces::Trace& trace = known.traces[index];
  json_.begin_object();
  json_.member_number("pid", trace.pid);
  json_.member_number("start_boottime", trace.start_time_ns);
  json_.member("exec_path", known.exec_path(index));
  json_.key("ancestors");
  json_.begin_array();
  std::uint32_t at = trace.parent;
  for (int i = 0; i < kMaxAncestorsInRow && at != ProcessTraces::kNone; ++i) {
    json_.begin_object();
    json_.member("exec_path", known.exec_path(at));
    json_.end_object();
    at = known.traces[at].parent;
  }
  json_.end_array();
  json_.end_object();
}

// Of things that are one in the document.
void Writer::write_processes(const std::vector<const ProcessUse*>& uses) {
  std::uint64_t unlisted = 0;
  std::vector<std::uint32_t> listed;
  for (const ProcessUse* use : uses) {
    unlisted += use->unlisted_count;
    for (const std::uint32_t trace : use->traces) {
      if (std::ranges::find(listed, trace) != listed.end()) continue;
      listed.size() < kMostProcesses ? listed.push_back(trace) : void(++unlisted);
    }
  }
  json_.key("processes");
  json_.begin_array();
  for (const std::uint32_t trace : listed) write_trace(trace);
  json_.end_array();
  if (unlisted > 0) json_.member_number("process_overflow_count", unlisted);
}

void Writer::write_connections() {
  // We tell names apart, the document does not.
  std::map<std::tuple<std::string_view, std::uint16_t, std::string_view>,
           std::vector<const DestinationUse*>>
      destinations;
  for (const DestinationUse& use : summary_.destinations) {
    destinations[{use.remote_ip, use.remote_port, use.protocol}].push_back(&use);
  }
  json_.key("network_connections");
  json_.begin_array();
  for (const auto& [key, uses] : destinations) {
    if (is_full()) return;
    json_.begin_object();
    json_.member("remote_ip", std::get<0>(key));
    json_.member_number("remote_port", std::get<1>(key));
    json_.member("protocol", std::get<2>(key));
    std::vector<const ProcessUse*> processes;
    std::vector<std::string> names;
    for (const DestinationUse* use : uses) {
      processes.push_back(&use->processes);
      if (!use->domain.empty()) names.push_back(use->domain);
    }
    write_processes(processes);
    std::ranges::sort(names);
    append_argv(json_, "domains", names, false, SIZE_MAX);
    json_.end_object();
  }
  json_.end_array();
}

void Writer::write_domains() {
  std::map<std::string_view, const DomainUse*> domains;
  for (const DomainUse& use : summary_.domains) domains[use.domain] = &use;
  json_.key("domain_observations");
  json_.begin_array();
  for (const auto& [name, use] : domains) {
    if (is_full()) return;
    json_.begin_object();
    json_.member("domain", name);
    write_processes({&use->processes});
    json_.end_object();
  }
  json_.end_array();
}

void Writer::write_image(const ExecImage& image, std::size_t max_argv_bytes) {
  json_.member("exec_path", image.exec_path);
  append_argv(json_, "argv", image.argv, options_.redact_process_args, max_argv_bytes);
}

void Writer::write_alert(const AlertSummary& alert) {
  const Process& process = *alert.process;
  json_.begin_object();
  json_.time_member("timestamp", alert.time_ns);
  json_.member("event_type", info_of(alert.event_type).name);
  json_.key("process");
  json_.begin_object();
  json_.member_number("pid", process.pid);
  json_.member_number("start_boottime", process.start_time_ns);
  write_image(*process.image, SIZE_MAX);
  json_.key("ancestors");
  json_.begin_array();
  const Process* ancestor = process.parent.get();
  for (int i = 0; ancestor != nullptr && i < kMaxAncestorsInRow; ++i) {
    json_.begin_object();
    write_image(*ancestor->image, kMaxAncestorArgvBytes);
    json_.end_object();
    ancestor = ancestor->parent.get();
  }
  json_.end_array();
  json_.end_object();
  json_.key("payload");
  json_.raw(alert.payload.empty() ? "{}" : std::string_view(alert.payload));
  json_.end_object();
}

void Writer::write_hit(const DetectionSummary& hit) {
  const Rule& rule = hit.rule.rule;
  json_.begin_object();
  json_.member("ruleset_id", hit.rule.ruleset_id);
  json_.member("rule_id", rule.rule_id);
  json_.member("ruleset_revision", hit.rule.ruleset_revision);
  json_.member("rule_name", rule.rule_name);
  json_.member("rule_description", rule.description);
  json_.member("rule_type", rule.is_correlation ? "correlation" : "event");
  json_.member("rule_condition", rule.condition.text);
  json_.key("rule_tags");
  json_.begin_object();
  for (const auto& [key, value] : rule.tags) {
    json_.string(key);  // of a rule file: not ours, so quoted as a text
    out_.push_back(':');
    json_.string(value);
  }
  json_.end_object();
  json_.member("action", name_of(rule.action));
  json_.member_number("hit_count", hit.count);
  json_.member_number("max_alerts", hit.rule.max_alerts);
  json_.key("alert_events");
  json_.begin_array();
  for (const AlertSummary& alert : hit.alerts) {
    if (is_full()) return;
    write_alert(alert);
  }
  json_.end_array();
  json_.end_object();
}

void Writer::write_hits() {
  std::vector<const DetectionSummary*> hits;
  for (const DetectionSummary& hit : summary_.detections) hits.push_back(&hit);
  std::ranges::sort(hits, [](const DetectionSummary* a, const DetectionSummary* b) {
    return std::tie(a->rule.ruleset_id, a->rule.rule.rule_id) <
           std::tie(b->rule.ruleset_id, b->rule.rule.rule_id);
  });
  json_.key("hits");
  json_.begin_array();
  for (const DetectionSummary* hit : hits) {
    if (is_full()) return;
    write_hit(*hit);
  }
  json_.end_array();
}

std::string Writer::write() {
  json_.begin_object();
  write_job();
  write_results();
  write_connections();
  if (!is_full()) write_domains();
  if (!is_full()) write_hits();
  if (is_full()) return {};
  json_.member("scope", name_of(options_.scope));
  json_.member("service_version", version());
  json_.member_number("events_total", summary_.events_total);
  json_.member_number("events_dropped", summary_.events_dropped);
  if (summary_.egress) append_egress(json_, *summary_.egress);
  json_.end_object();
  return indented_json(out_, options_.max_bytes);
}

}  // namespace

std::optional<std::string> render_result_document(const JobSummary& summary,
                                                  const ResultOptions& options) {
  std::string document = Writer(summary, options).write();
  if (document.empty()) return std::nullopt;
  return document;
}

}  // namespace cicd
