// SPDX-License-Identifier: Apache-2.0
// LogReplay: rules over recorded logs: what would have fired. Each job of a log gets a Scope of its
// own, so counts, correlations and alert caps are those of the sensor.
//
// Threads: one. Memory does not grow with the log: at most kMaxOpenJobs scopes, kMaxPrograms
// compiled rule sets, and a few hits of each rule. When more jobs are interleaved than that, the
// one that was silent longest is closed (`closed_jobs`); rows of it that come later begin a new
// one.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "job/scope.h"
#include "rule/program.h"
#include "rule_tools/row_reader.h"

namespace cicd {

struct ReplayHit {
  std::uint64_t time_ns = 0;
  std::string job;  // its name
  std::string event_type;
  std::string process;  // chain of programs, escaped
  std::string subject;  // not escaped
};

struct ReplayRule {
  std::string ruleset_id, rule_id;
  RuleAction action = RuleAction::kDetect;
  int max_alerts = 0;
  bool is_correlation = false;
  bool reads_argv = false;  // condition or exceptions look at arguments
  std::uint64_t hits = 0;
  std::uint64_t alerts = 0;       // rows that would have been written
  std::uint64_t jobs = 0;         // in which it fired
  std::uint64_t capped_jobs = 0;  // in which max_alerts was reached
  std::vector<ReplayHit> first;
};

struct BadRow {
  std::string place;  // "file:line"
  std::string reason;
};

struct ReplayReport {
  std::uint64_t rows = 0;
  std::uint64_t events = 0;
  std::uint64_t other_rows = 0;  // detections, summaries
  std::uint64_t bad_rows = 0;
  std::vector<BadRow> first_bad_rows;
  std::uint64_t jobs = 0;
  std::uint64_t closed_jobs = 0;          // before the end of the log, to make room
  std::uint64_t shortened_arguments = 0;  // events with arguments that the log does not hold
  std::uint64_t most_ancestors = 0;       // events with as many ancestors as a row holds
  std::uint64_t cut_evaluations = 0;
  std::vector<ReplayRule> rules;  // all of them, in the order of the files
};

class LogReplay {
 public:
  static constexpr std::size_t kMaxOpenJobs = 64;
  static constexpr std::size_t kMaxPrograms = 16;
  static constexpr std::size_t kMaxBadRowsKept = 10;

  struct Options {
    std::size_t hits_kept = 3;  // of each rule
  };

  // `rules` must compile without errors (compile_all(), rule_names.h).
  LogReplay(LoadedRules rules, Options options);
  ~LogReplay();
  LogReplay(const LogReplay&) = delete;
  LogReplay& operator=(const LogReplay&) = delete;

  // A line of a log; `place` ("file:line") is asked for when it is bad.
  void add_line(std::string_view line, const std::function<std::string()>& place);
  // A line that could not be read, for this reason.
  void add_bad_line(const std::function<std::string()>& place, std::string reason);
  // Ends all jobs; the replay is over.
  ReplayReport finish();

 private:
  class Sink;
  struct Rules;
  struct OpenJob;
  using Jobs = std::list<OpenJob>;  // the one that had a row last comes first

  std::shared_ptr<Rules> rules_for(const RuleScope& project);
  OpenJob& job_of(const LogRow& row);
  void close(OpenJob& job);

  LoadedRules loaded_;
  Options options_;
  bool has_targets_ = false;
  RowReader reader_;
  ReplayReport report_;
  std::map<std::pair<std::string, std::string>, std::size_t> rule_indices_;  // in report_.rules
  std::list<std::pair<std::string, std::shared_ptr<Rules>>>
      programs_;  // by project, last used first
  Jobs jobs_;
  std::unordered_map<std::string, Jobs::iterator> jobs_by_key_;
};

// Reads a descriptor to its end, line by line, holding no more than one line of kMaxRowBytes.
// Longer lines are bad. Empty lines are skipped. An error when it cannot be read on.
Result<void> replay_lines(int fd, const std::string& name, LogReplay& replay);

}  // namespace cicd
