// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unordered_map>

#include "base/time_format.h"
#include "evidence/row_writer.h"
#include "job/subject.h"
#include "rule/baseline.h"
#include "summary_reader.h"

namespace cicd::ctl {

namespace {

using nlohmann::json;

// Arguments that tell one chain from another; later ones may be cut in an ancestor.
constexpr std::size_t kComparedArguments = 8;
constexpr std::size_t kMaxAlertsPerRule = 10;

std::string text_of(const json& object, std::string_view name) {
  const auto found = object.find(std::string(name));
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Also of the form that 64-bit numbers have in rows: text.
std::int64_t number_of(const json& object, std::string_view name) {
  const auto found = object.find(std::string(name));
  if (found == object.end()) return 0;
  if (found->is_boolean()) return found->get<bool>() ? 1 : 0;
  if (found->is_number_integer()) return found->get<std::int64_t>();
  return found->is_string()
             ? std::strtoll(found->get_ref<const std::string&>().c_str(), nullptr, 10)
             : 0;
}

std::vector<std::string> arguments_of(const json& process) {
  std::vector<std::string> out;
  const auto found = process.find("argv");
  if (found == process.end() || !found->is_array()) return out;
  for (const json& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::shared_ptr<ExecImage> image_of(const json& process) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = text_of(process, "exec_path");
  image->argv = arguments_of(process);
  image->cwd = text_of(process, "cwd");
  return image;
}

// One program of a chain, for comparing.
std::string link_text(const ExecImage& image) {
  std::string out = image.exec_path;
  for (std::size_t i = 0; i < std::min(image.argv.size(), kComparedArguments); ++i) {
    out.append(1, '\0').append(image.argv[i]);
  }
  return out.append(1, '\1');
}

// Processes as they are told by rows, put together to a tree (see the header).
class Processes {
 public:
  ProcessRef of(const json& row) {
    const auto image = image_of(row);
    const std::string identity =
        std::to_string(number_of(row, "pid")) + ' ' + text_of(row, "start_time");
    ProcessRef& known = by_identity_[identity];
    if (known && link_text(*known->image) == link_text(*image)) return known;
    auto process = std::make_shared<Process>();
    process->pid = static_cast<std::uint32_t>(number_of(row, "pid"));
    process->uid = static_cast<std::uint32_t>(number_of(row, "uid"));
    process->start_time_ns = parse_rfc3339(text_of(row, "start_time")).value_or(0);
    process->parent = known ? known->parent : parent_of(row);
    add(*process, image);
    known = process;
    by_chain_[chain_of(*process)] = process;
    return process;
  }

 private:
  void add(Process& process, std::shared_ptr<const ExecImage> image) {
    process.id = ++last_id_;
    process.image = std::move(image);
    process.depth = process.parent ? process.parent->depth + 1 : 0;
  }
  // Of a process and its ancestors, as many as a row has.
  static std::string chain_of(const Process& process) {
    std::string out;
    int links = 0;
    for (const Process* at = &process; at != nullptr && links < kMaxAncestorsInRow; ++links) {
      out += link_text(*at->image);
      at = at->parent.get();
    }
    return out;
  }
  ProcessRef parent_of(const json& row) {
    const auto found = row.find("ancestors");
    if (found == row.end() || !found->is_array()) return nullptr;
    std::vector<std::shared_ptr<ExecImage>> chain;
    for (const json& ancestor : *found) {
      if (ancestor.is_object() && chain.size() < kMaxAncestorsInRow) {
        chain.push_back(image_of(ancestor));
      }
    }
    // From the oldest: each is the process that has this chain, or one that no row told of.
    ProcessRef parent;
    for (std::size_t i = chain.size(); i-- > 0;) {
      std::string wanted;
      for (std::size_t k = i; k < chain.size(); ++k) wanted += link_text(*chain[k]);
      ProcessRef& known = by_chain_[wanted];
      if (!known) {
        auto made = std::make_shared<Process>();
        made->parent = parent;
        made->start_time_ns = last_id_ + 1;  // with pid 0 nobody else's
        add(*made, chain[i]);
        known = made;
      }
      parent = known;
    }
    return parent;
  }

  std::unordered_map<std::string, ProcessRef> by_identity_;
  std::unordered_map<std::string, ProcessRef> by_chain_;
  std::uint64_t last_id_ = 0;
};

// Reads the lines of a file; false when it is not there.
template <typename Handle>
bool for_each_row(const std::string& path, std::uint64_t& bad_rows, Handle handle) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  for (std::string line; std::getline(file, line);) {
    const json row = json::parse(line, nullptr, false);
    const auto event = row.is_object() ? row.find("event") : row.end();
    if (!row.is_object() || event == row.end() || !event->is_object()) {
      ++bad_rows;
    } else {
      handle(row, *event);
    }
  }
  return true;
}

class Reader {
 public:
  Reader(RunFolder& folder, std::string path) : folder_(folder), path_(std::move(path)) {}

  Result<void> read() {
    const auto is_there =
        for_each_row(path_ + "/detections.jsonl", folder_.bad_rows,
                     [&](const json& row, const json& event) { add_hit(row, event); });
    if (!is_there) return fail_errno(ENOENT, "read " + path_ + "/detections.jsonl");
    fill_in_conditions();
    if (!for_each_row(path_ + "/events.jsonl", folder_.bad_rows,
                      [&](const json& row, const json& event) { add_event(row, event); })) {
      return fail_errno(ENOENT, "read " + path_ + "/events.jsonl");
    }
    return {};
  }

 private:
  void add_hit(const json& row, const json& event);
  void add_event(const json& row, const json& event);
  void fill_in_conditions();

  RunFolder& folder_;
  std::string path_;
  Processes processes_;
  std::unordered_map<std::string, std::vector<std::size_t>> hits_;  // event id -> detections
};

void Reader::add_hit(const json& row, const json& event) {
  auto& detections = folder_.summary.detections;
  const std::string rule_id = text_of(row, "rule_id");
  const std::string ruleset_id = text_of(row, "ruleset_id");
  const auto found = std::ranges::find_if(detections, [&](const DetectionSummary& detection) {
    return detection.rule.rule.rule_id == rule_id && detection.rule.ruleset_id == ruleset_id;
  });
  if (found == detections.end()) return;
  Rule& rule = found->rule.rule;
  rule.rule_name = text_of(row, "rule_name");
  rule.description = text_of(row, "rule_description");
  rule.event_type = event_type_by_name(text_of(event, "type")).value_or(rule.event_type);
  hits_[text_of(event, "id")].push_back(static_cast<std::size_t>(found - detections.begin()));
}

void Reader::fill_in_conditions() {
  const LoadedRules baseline = baseline_rules();
  for (DetectionSummary& detection : folder_.summary.detections) {
    CompiledRule& rule = detection.rule;
    rule.rule.condition.text = "# not in the rows; the rule set is " + rule.ruleset_revision;
    for (const RuleSet& set : baseline.rule_sets) {
      if (set.ruleset_id != rule.ruleset_id || set.revision != rule.ruleset_revision) continue;
      const auto found = std::ranges::find(set.rules, rule.rule.rule_id, &Rule::rule_id);
      if (found == set.rules.end()) continue;
      const RuleAction action = rule.rule.action;
      rule.rule = *found;
      rule.rule.action = action;
    }
  }
}

void Reader::add_event(const json& row, const json& event) {
  const auto type = event_type_by_name(text_of(event, "type"));
  const auto process = event.find("process");
  if (!type || process == event.end() || !process->is_object()) {
    ++folder_.bad_rows;
    return;
  }
  EventRecord record;
  record.type = *type;
  record.time_ns = parse_rfc3339(text_of(row, "timestamp")).value_or(0);
  record.boot_time_ns = record.time_ns;  // starts of processes are wall clock times here
  record.process = processes_.of(*process);
  if (const auto tags = event.find("tags"); tags != event.end() && tags->is_array()) {
    for (const json& tag : *tags) {
      if (tag.is_string()) record.marks |= mark_of_tag(tag.get_ref<const std::string&>());
    }
  }
  const EventTypeInfo& info = info_of(*type);
  std::array<std::string, kMaxEventFields> texts;
  const auto payload = event.find(std::string(info.name));
  for (std::size_t i = 0; payload != event.end() && i < info.fields.size(); ++i) {
    const FieldInfo& field = info.fields[i];
    if (field.type == FieldType::kString) {
      texts[i] = text_of(*payload, field.json_name);
      record.fields[i].text = texts[i];
    } else {
      record.fields[i].number = number_of(*payload, field.json_name);
    }
  }
  folder_.model->add_event(record);
  const auto hits = hits_.find(text_of(event, "id"));
  if (hits == hits_.end()) return;
  for (std::size_t index : hits->second) {
    DetectionSummary& detection = folder_.summary.detections[index];
    folder_.model->add_alert(record, detection.rule);
    if (detection.alerts.size() >= kMaxAlertsPerRule) continue;
    detection.alerts.push_back({record.time_ns, record.type, record.process, subject_of(record)});
  }
}

}  // namespace

Result<RunFolder> read_run_folder(const std::string& path) {
  std::ifstream file(path + "/summary.json", std::ios::binary);
  if (!file) {
    return fail(ErrorCode::kNotFound, "there is no summary.json in " + path,
                "name the folder that --output of `cicd-sensor run` named");
  }
  std::ostringstream text;
  text << file.rdbuf();
  RunFolder folder;
  auto summary = read_summary(text.str());
  if (!summary)
    return std::unexpected(std::move(summary.error()).with_context(path + "/summary.json"));
  folder.summary = std::move(*summary);
  folder.model = std::make_unique<ReportModel>(ReportModel::kMaxPageBytes, false);
  CICD_TRY(Reader(folder, path).read());
  return folder;
}

}  // namespace cicd::ctl
