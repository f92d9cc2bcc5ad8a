// SPDX-License-Identifier: Apache-2.0
#include "report/result_reader.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/time_format.h"
#include "job/payload_json.h"
#include "job/subject.h"
#include "report/egress_reader.h"
#include "report/told_processes.h"

namespace cicd {

namespace {

using nlohmann::json;

// Of brackets; a document has nine.
constexpr int kMostDepth = 16;

constexpr const char* kNote =
    "This report is made of a result document, which has alerts, destinations and names, not when "
    "or how often the latter were used, and nothing of other events.";

std::string text_of(const json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// 0 also for one that is too large for T.
template <typename T>
T number_of(const json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return 0;
  const auto number = found->get<std::uint64_t>();
  return std::in_range<T>(number) ? static_cast<T>(number) : T{0};
}

// An empty object when there is none.
const json& object_of(const json& object, std::string_view name) {
  static const json kNothing = json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kNothing;
}

// Calls `read` with each object of the list `name`.
template <typename Read>
void for_each(const json& object, std::string_view name, Read read) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return;
  for (const json& item : *found) {
    if (item.is_object()) read(item);
  }
}

std::vector<std::string> texts_of(const json& object, std::string_view name) {
  std::vector<std::string> out;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return out;
  for (const json& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

json parse(std::string_view text) {
  return json::parse(
      text.begin(), text.end(),
      [](int depth, json::parse_event_t, const json&) { return depth <= kMostDepth; }, false);
}

// The fields of an event. Lifetime: those of the record are `texts`.
using FieldTexts = std::array<std::string, kMaxEventFields>;
void read_payload(const json& payload, FieldTexts& texts, EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    const FieldInfo& field = info.fields[i];
    const auto found = payload.find(field.name);
    if (found == payload.end()) continue;
    if (field.type == FieldType::kString) {
      texts[i] = found->is_string() ? found->get<std::string>() : std::string();
      record.fields[i] = texts[i];
    } else if (found->is_boolean()) {
      record.fields[i] = found->get<bool>() ? 1 : 0;
    } else if (found->is_number_integer()) {
      record.fields[i] = found->get<std::int64_t>();
    }
  }
}

class Reader {
 public:
  explicit Reader(const json& root) : root_(root) {}
  JobSummary read();

 private:
  void read_job();
  void read_connections();
  void read_domains();
  void read_hits();
  void read_alert(const json& item, DetectionSummary& hit);
  // Also the programs, for reports that name no processes.
  void read_processes(const json& item, ProcessUse& use, std::vector<std::string>& exec_paths);
  std::uint32_t trace_of(const json& process, std::uint32_t parent);
  std::uint32_t path_of(const std::string& path);
  void note_process(const json& process);

  const json& root_;
  JobSummary summary_;
  std::unordered_map<std::string, std::uint32_t> paths_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> processes_;  // pid, start
};

void Reader::read_job() {
  const json& identity = object_of(root_, "job_identity");
  for (const IdentityField& field : identity_fields()) {
    summary_.identity.*field.member = text_of(identity, field.name);
  }
  const json& metadata = object_of(root_, "metadata");
  for (const MetadataField& field : metadata_fields()) {
    summary_.metadata.*field.member = text_of(metadata, field.name);
  }
  summary_.runner_type = text_of(root_, "runner_type");
  summary_.start_time_ns = parse_rfc3339(text_of(root_, "started_at")).value_or(0);
  summary_.end_time_ns = parse_rfc3339(text_of(root_, "generated_at")).value_or(0);
  summary_.finalize_reason = text_of(root_, "finalize_reason");
  const json& rules = object_of(root_, "rules_summary");
  summary_.rule_count = number_of<std::uint64_t>(rules, "rule_count");
  summary_.rule_warnings = number_of<std::uint64_t>(rules, "warnings_count");
  const std::string result = text_of(object_of(root_, "result_summary"), "result");
  if (result == "detected") summary_.result = JobResult::kDetected;
  if (result == "terminated") summary_.result = JobResult::kTerminated;
}

std::uint32_t Reader::path_of(const std::string& path) {
  const auto index = static_cast<std::uint32_t>(summary_.traces.paths.size());
  const auto [known, is_new] = paths_.emplace(path, index);
  if (is_new) summary_.traces.paths.push_back(path);
  return known->second;
}

std::uint32_t Reader::trace_of(const json& process, std::uint32_t parent) {
  const auto index = static_cast<std::uint32_t>(summary_.traces.traces.size());
  summary_.traces.traces.push_back({number_of<std::uint32_t>(process, "pid"),
                                    path_of(text_of(process, "exec_path")), parent,
                                    number_of<std::uint64_t>(process, "start_boottime")});
  return index;
}

void Reader::note_process(const json& process) {
  processes_.emplace(number_of<std::uint32_t>(process, "pid"),
                     number_of<std::uint64_t>(process, "start_boottime"));
}

void Reader::read_processes(const json& item, ProcessUse& use,
                            std::vector<std::string>& exec_paths) {
  for_each(item, "processes", [&](const json& process) {
    std::vector<const json*> chain;
    for_each(process, "ancestors", [&](const json& ancestor) {
      if (chain.size() < kMaxAncestorDepth) chain.push_back(&ancestor);
    });
    std::uint32_t trace = ProcessTraces::kNone;
    while (!chain.empty()) {
      trace = trace_of(*chain.back(), trace);
      chain.pop_back();
    }
    trace = trace_of(process, trace);
    use.traces.push_back(trace);
    const std::string& path = summary_.traces.exec_path(trace);
    if (std::ranges::find(exec_paths, path) == exec_paths.end()) exec_paths.push_back(path);
    note_process(process);
  });
  use.unlisted_count = number_of<std::uint64_t>(item, "process_overflow_count");
}

void Reader::read_connections() {
  for_each(root_, "network_connections", [&](const json& item) {
    DestinationUse use;
    use.remote_ip = text_of(item, "remote_ip");
    use.remote_port = number_of<std::uint16_t>(item, "remote_port");
    use.protocol = text_of(item, "protocol");
    const std::vector<std::string> domains = texts_of(item, "domains");
    if (!domains.empty()) use.domain = domains.front();
    read_processes(item, use.processes, use.exec_paths);
    use.process_overflow_count = use.processes.unlisted_count;
    use.count = use.processes.traces.size() + use.processes.unlisted_count;
    summary_.destinations.push_back(std::move(use));
  });
}

void Reader::read_domains() {
  for_each(root_, "domain_observations", [&](const json& item) {
    DomainUse use;
    use.domain = text_of(item, "domain");
    read_processes(item, use.processes, use.exec_paths);
    use.process_overflow_count = use.processes.unlisted_count;
    use.count = use.processes.traces.size() + use.processes.unlisted_count;
    summary_.domains.push_back(std::move(use));
  });
}

std::shared_ptr<const ExecImage> image_of(const json& process) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = text_of(process, "exec_path");
  image->argv = texts_of(process, "argv");
  image->is_known = !image->exec_path.empty();
  return image;
}

ProcessRef process_of(const json& told) {
  std::vector<const json*> chain;
  for_each(told, "ancestors", [&](const json& ancestor) {
    if (chain.size() < kMaxAncestorDepth) chain.push_back(&ancestor);
  });
  ProcessRef parent;
  while (!chain.empty()) {
    auto ancestor = std::make_shared<Process>();
    ancestor->image = image_of(*chain.back());
    ancestor->parent = std::move(parent);
    parent = std::move(ancestor);
    chain.pop_back();
  }
  auto process = std::make_shared<Process>();
  process->pid = number_of<std::uint32_t>(told, "pid");
  process->start_time_ns = number_of<std::uint64_t>(told, "start_boottime");
  process->image = image_of(told);
  process->parent = std::move(parent);
  return process;
}

void Reader::read_alert(const json& item, DetectionSummary& hit) {
  const auto type = event_type_by_name(text_of(item, "event_type"));
  if (!type) return;  // of a later version
  FieldTexts texts;
  EventRecord record;
  record.type = *type;
  record.time_ns = parse_rfc3339(text_of(item, "timestamp")).value_or(0);
  const json& process = object_of(item, "process");
  record.process = process_of(process);
  read_payload(object_of(item, "payload"), texts, record);
  if (hit.alerts.empty()) hit.rule.rule.event_type = *type;
  hit.alerts.push_back(
      {record.time_ns, *type, record.process, subject_of(record, false), payload_json(record)});
  note_process(process);
}

int severity(const DetectionSummary& hit) {
  if (hit.rule.rule.action == RuleAction::kTerminate) return 2;
  return hit.rule.rule.action == RuleAction::kDetect ? 1 : 0;
}

void Reader::read_hits() {
  for_each(root_, "hits", [&](const json& item) {
    DetectionSummary hit;
    hit.rule.ruleset_id = text_of(item, "ruleset_id");
    hit.rule.ruleset_revision = text_of(item, "ruleset_revision");
    hit.rule.max_alerts = number_of<int>(item, "max_alerts");
    Rule& rule = hit.rule.rule;
    rule.rule_id = text_of(item, "rule_id");
    rule.rule_name = text_of(item, "rule_name");
    rule.description = text_of(item, "rule_description");
    rule.is_correlation = text_of(item, "rule_type") == "correlation";
    rule.condition.text = text_of(item, "rule_condition");
    const std::string action = text_of(item, "action");
    rule.action = action == "terminate" ? RuleAction::kTerminate
                  : action == "collect" ? RuleAction::kCollect
                                        : RuleAction::kDetect;
    for (const auto& [key, value] : object_of(item, "rule_tags").items()) {
      if (value.is_string()) rule.tags[key] = value.get<std::string>();
    }
    hit.count = number_of<std::uint64_t>(item, "hit_count");
    for_each(item, "alert_events", [&](const json& alert) { read_alert(alert, hit); });
    const bool is_known = std::ranges::any_of(summary_.rule_sets, [&](const RuleSetRef& set) {
      return set.ruleset_id == hit.rule.ruleset_id;
    });
    if (!is_known) {
      summary_.rule_sets.push_back({hit.rule.ruleset_id, hit.rule.ruleset_revision});
    }
    summary_.detections.push_back(std::move(hit));
  });
  std::ranges::stable_sort(summary_.detections, std::ranges::greater(), severity);
}

JobSummary Reader::read() {
  read_job();
  read_connections();
  read_domains();
  read_hits();
  summary_.processes_total = processes_.size();
  summary_.events_by_type.assign(kEventTypeCount, 0);
  summary_.events_total = number_of<std::uint64_t>(root_, "events_total");
  summary_.events_dropped = number_of<std::uint64_t>(root_, "events_dropped");
  if (summary_.events_dropped > 0) {
    summary_.losses.entries.push_back({"event", "dropped", summary_.events_dropped});
  }
  summary_.egress = read_egress(root_);
  summary_.problems.emplace_back(kNote);
  return std::move(summary_);
}

// An event that the document tells of: at most one of the three.
struct Told {
  std::uint64_t time_ns = 0;
  ProcessRef process;
  const AlertSummary* alert = nullptr;
  const DestinationUse* destination = nullptr;
  const DomainUse* domain = nullptr;
  std::vector<const CompiledRule*> rules;
};

class ModelMaker {
 public:
  explicit ModelMaker(const JobSummary& summary) : summary_(summary) {}
  std::unique_ptr<ReportModel> make();

 private:
  void tell_alerts();
  ProcessRef process_of(std::uint32_t trace);
  void add(const Told& told, ReportModel& model) const;

  const JobSummary& summary_;
  ToldProcesses processes_;
  std::vector<Told> told_;
};

void ModelMaker::tell_alerts() {
  // What several rules fired at is one event.
  std::map<std::tuple<std::uint64_t, EventType, const Process*, std::string_view>, std::size_t>
      known;
  for (const DetectionSummary& hit : summary_.detections) {
    for (const AlertSummary& alert : hit.alerts) {
      ProcessRef process = processes_.of(*alert.process);
      const std::string_view payload = alert.payload;
      const auto [at, is_new] = known.try_emplace(
          {alert.time_ns, alert.event_type, process.get(), payload}, told_.size());
      if (is_new)
        told_.push_back({alert.time_ns, std::move(process), &alert, nullptr, nullptr, {}});
      told_[at->second].rules.push_back(&hit.rule);
    }
  }
}

ProcessRef ModelMaker::process_of(std::uint32_t trace) {
  const ProcessTraces& known = summary_.traces;
  const auto image_of = [&](std::uint32_t at) {
    auto image = std::make_shared<ExecImage>();
    image->exec_path = known.exec_path(at);
    return image;
  };
  Process process;
  process.pid = known.traces[trace].pid;
  process.start_time_ns = known.traces[trace].start_time_ns;
  process.image = image_of(trace);
  std::shared_ptr<const Process>* link = &process.parent;
  for (std::uint32_t at = known.traces[trace].parent; at != ProcessTraces::kNone;
       at = known.traces[at].parent) {
    auto parent = std::make_shared<Process>();
    parent->image = image_of(at);
    std::shared_ptr<const Process>* next = &parent->parent;
    *link = std::move(parent);
    link = next;
  }
  return processes_.of(process);
}

void ModelMaker::add(const Told& told, ReportModel& model) const {
  FieldTexts texts;
  EventRecord record;
  record.time_ns = told.time_ns;
  record.process = told.process;
  record.boot_time_ns = told.process->start_time_ns;  // when it began is not told either
  if (told.alert != nullptr) {
    record.type = told.alert->event_type;
    read_payload(parse(told.alert->payload), texts, record);
  } else if (told.destination != nullptr) {
    namespace f = field::network_connect;
    record.type = EventType::kNetworkConnect;
    record.fields[f::kRemoteIp] = told.destination->remote_ip;
    record.fields[f::kRemotePort] = told.destination->remote_port;
    record.fields[f::kProtocol] = told.destination->protocol;
    record.fields[f::kDomain] = told.destination->domain;
  } else {
    record.type = EventType::kDomain;
    record.fields[field::domain::kDomain] = told.domain->domain;
  }
  model.add_event(record);
  for (const CompiledRule* rule : told.rules) model.add_alert(record, *rule);
}

std::unique_ptr<ReportModel> ModelMaker::make() {
  tell_alerts();
  const std::uint64_t start_ns = summary_.start_time_ns;
  for (const DestinationUse& use : summary_.destinations) {
    for (const std::uint32_t trace : use.processes.traces) {
      told_.push_back({start_ns, process_of(trace), nullptr, &use, nullptr, {}});
    }
  }
  for (const DomainUse& use : summary_.domains) {
    for (const std::uint32_t trace : use.processes.traces) {
      told_.push_back({start_ns, process_of(trace), nullptr, nullptr, &use, {}});
    }
  }
  std::ranges::stable_sort(told_, {}, &Told::time_ns);
  auto model = std::make_unique<ReportModel>(ReportModel::kMaxPageBytes, false);
  for (const Told& told : told_) add(told, *model);
  return model;
}

}  // namespace

Result<JobSummary> read_result_document(std::string_view text) {
  constexpr const char* kHint = "it comes from `cicd-sensor project result` or `job result`";
  if (text.size() > kMaxResultDocumentBytes) {
    return fail(ErrorCode::kInvalidInput, "a result document has at most 16 MiB", kHint);
  }
  const json root = parse(text);
  if (!root.is_object() || !root.contains("job_identity") || !root.contains("result_summary")) {
    return fail(ErrorCode::kInvalidInput, "it is no result document", kHint);
  }
  return Reader(root).read();
}

std::unique_ptr<ReportModel> model_of_result(const JobSummary& summary) {
  return ModelMaker(summary).make();
}

}  // namespace cicd
