// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "evidence/row_writer.h"
#include "job/subject.h"
#include "rule/baseline.h"
#include "rule_tools/row_reader.h"
#include "summary_reader.h"

namespace cicd::ctl {

namespace {

// Arguments that tell one chain from another; later ones may be cut in an ancestor.
constexpr std::size_t kComparedArguments = 8;
constexpr std::size_t kMaxAlertsPerRule = 10;

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
  // `seen` as its row tells of it.
  ProcessRef of(const Process& seen) {
    const std::string identity =
        std::to_string(seen.pid) + ' ' + std::to_string(seen.start_time_ns);
    ProcessRef& known = by_identity_[identity];
    if (known && link_text(*known->image) == link_text(*seen.image)) return known;
    auto process = std::make_shared<Process>();
    process->pid = seen.pid;
    process->uid = seen.uid;
    process->start_time_ns = seen.start_time_ns;
    process->parent = known ? known->parent : parent_of(seen);
    add(*process, seen.image);
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
  ProcessRef parent_of(const Process& seen) {
    std::vector<std::shared_ptr<const ExecImage>> chain;
    for (const Process* at = seen.parent.get(); at != nullptr && chain.size() < kMaxAncestorsInRow;
         at = at->parent.get()) {
      chain.push_back(at->image);
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
  Processes processes_;
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
