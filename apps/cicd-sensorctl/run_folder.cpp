// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "job/subject.h"
#include "report/told_processes.h"
#include "rule/baseline.h"
#include "rule_tools/row_reader.h"
#include "summary_reader.h"

namespace cicd::ctl {

namespace {

constexpr std::size_t kMaxAlertsPerRule = 10;

// Reads the rows of a file that are events or detections; false when it is not there.
template <typename Handle>
bool for_each_row(const std::string& path, std::uint64_t& bad_rows, Handle handle) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  RowReader reader;
  for (std::string line; std::getline(file, line);) {
    const auto row = reader.read(line);
    if (!row || (*row)->kind == LogRow::Kind::kOther) {
      ++bad_rows;
    } else {
      handle(**row);
    }
  }
  return true;
}

class Reader {
 public:
  Reader(RunFolder& folder, std::string path) : folder_(folder), path_(std::move(path)) {}

  Result<void> read() {
    const auto is_there = for_each_row(path_ + "/detections.jsonl", folder_.bad_rows,
                                       [&](const LogRow& row) { add_hit(row); });
    if (!is_there) return fail_errno(ENOENT, "read " + path_ + "/detections.jsonl");
    fill_in_conditions();
    if (!for_each_row(path_ + "/events.jsonl", folder_.bad_rows,
                      [&](const LogRow& row) { add_event(row); })) {
      return fail_errno(ENOENT, "read " + path_ + "/events.jsonl");
    }
    return {};
  }

 private:
  void add_hit(const LogRow& row);
  void add_event(const LogRow& row);
  void fill_in_conditions();

  RunFolder& folder_;
  std::string path_;
  ToldProcesses processes_;
  std::unordered_map<std::string, std::vector<std::size_t>> hits_;  // event id -> detections
};

void Reader::add_hit(const LogRow& row) {
  auto& detections = folder_.summary.detections;
  const auto found = std::ranges::find_if(detections, [&](const DetectionSummary& detection) {
    return detection.rule.rule.rule_id == row.rule_id &&
           detection.rule.ruleset_id == row.ruleset_id;
  });
  if (found == detections.end()) return;
  Rule& rule = found->rule.rule;
  rule.rule_name = row.rule_name;
  rule.description = row.rule_description;
  rule.event_type = row.record.type;
  hits_[row.event_id].push_back(static_cast<std::size_t>(found - detections.begin()));
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

void Reader::add_event(const LogRow& row) {
  EventRecord record = row.record;
  record.process = processes_.of(*record.process);
  folder_.model->add_event(record);
  const auto hits = hits_.find(row.event_id);
  if (hits == hits_.end()) return;
  for (std::size_t index : hits->second) {
    DetectionSummary& detection = folder_.summary.detections[index];
    folder_.model->add_alert(record, detection.rule);
    if (detection.alerts.size() >= kMaxAlertsPerRule) continue;
    detection.alerts.push_back(
        {record.time_ns, record.type, record.process, subject_of(record, false)});
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
