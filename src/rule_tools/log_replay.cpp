// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/log_replay.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "job/subject.h"
#include "report/process_chain.h"
#include "rule/ast.h"
#include "rule_tools/rule_names.h"

namespace cicd {

namespace {

constexpr int kChainColumns = 60;

bool reads_argv(const SourceText& code, ConditionKind kind) {
  const Ast ast = parse_condition(code.text, kind);
  return std::ranges::any_of(ast.nodes, [](const AstNode& node) {
    return node.kind == AstKind::kSelect && node.text == "argv";
  });
}

bool reads_argv(const Rule& rule) {
  const auto reads = [](const SourceText& code) { return reads_argv(code, ConditionKind::kEvent); };
  return !rule.is_correlation &&
         (reads(rule.condition) || (rule.exceptions && reads(*rule.exceptions)) ||
          std::ranges::any_of(rule.added_exceptions, reads));
}

}  // namespace

// Compiled for a project.
struct LogReplay::Rules {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Evaluator> evaluator;     // of all its jobs: they are on one thread
  std::vector<std::size_t> report_indices;  // of program->rules()
};

struct LogReplay::OpenJob {
  std::string key;
  std::string name;
  std::shared_ptr<Rules> rules;
  std::unique_ptr<Scope> scope;
};

// Gets the rows that a sensor would have written.
class LogReplay::Sink : public ScopeSink {
 public:
  Sink(LogReplay& replay, const Rules& rules, std::string job)
      : replay_(replay), rules_(rules), job_(std::move(job)) {}

  void on_event(const EventRecord&) override {}
  void on_detection(const EventRecord& record, const CompiledRule& rule,
                    bool is_last_alert) override {
    const auto index = static_cast<std::size_t>(&rule - rules_.program->rules().data());
    ReplayRule& out = replay_.report_.rules[rules_.report_indices[index]];
    ++out.alerts;
    if (is_last_alert) ++out.capped_jobs;
    if (out.first.size() >= replay_.options_.hits_kept) return;
    out.first.push_back({record.time_ns, job_, std::string(info_of(record.type).name),
                         process_chain(*record.process, kChainColumns), subject_of(record)});
  }
  void flush() override {}
  LossReport losses() const override { return {}; }

 private:
  LogReplay& replay_;
  const Rules& rules_;
  std::string job_;
};

LogReplay::LogReplay(LoadedRules rules, Options options)
    : loaded_(std::move(rules)), options_(options) {
  // Every rule, as it is after the modifiers.
  const CompileResult compiled = compile_all(loaded_);
  if (compiled.program == nullptr) return;
  for (const CompiledRule& rule : compiled.program->rules()) {
    rule_indices_[{rule.ruleset_id, rule.rule.rule_id}] = report_.rules.size();
    ReplayRule& out = report_.rules.emplace_back();
    out.ruleset_id = rule.ruleset_id;
    out.rule_id = rule.rule.rule_id;
    out.action = rule.rule.action;
    out.max_alerts = rule.max_alerts;
    out.is_correlation = rule.rule.is_correlation;
    out.reads_argv = reads_argv(rule.rule);
    has_targets_ = has_targets_ || rule.rule.target;
  }
}

LogReplay::~LogReplay() = default;

std::shared_ptr<LogReplay::Rules> LogReplay::rules_for(const RuleScope& project) {
  std::string key;
  if (has_targets_) key = project.provider_host + '\n' + project.project_path;
  const auto known =
      std::ranges::find(programs_, key, [](const auto& entry) { return entry.first; });
  if (known != programs_.end()) {
    programs_.splice(programs_.begin(), programs_, known);
    return known->second;
  }
  CompileOptions options;
  options.scope = project;
  options.modifiers = loaded_.rule_modifiers;
  auto rules = std::make_shared<Rules>();
  rules->program = compile(loaded_.rule_sets, options).program;
  rules->evaluator = make_evaluator(rules->program);
  for (const CompiledRule& rule : rules->program->rules()) {
    rules->report_indices.push_back(rule_indices_.at({rule.ruleset_id, rule.rule.rule_id}));
  }
  programs_.emplace_front(std::move(key), rules);
  if (programs_.size() > kMaxPrograms) programs_.pop_back();  // its open jobs keep it
  return rules;
}

LogReplay::OpenJob& LogReplay::job_of(const LogRow& row) {
  const auto known = jobs_by_key_.find(row.job_key);
  if (known != jobs_by_key_.end()) {
    jobs_.splice(jobs_.begin(), jobs_, known->second);
    return jobs_.front();
  }
  if (jobs_.size() >= kMaxOpenJobs) {
    close(jobs_.back());
    jobs_by_key_.erase(jobs_.back().key);
    jobs_.pop_back();
    ++report_.closed_jobs;
  }
  ++report_.jobs;
  OpenJob& job = jobs_.emplace_front();
  jobs_by_key_[row.job_key] = jobs_.begin();
  job.key = row.job_key;
  job.name = row.job_name;
  job.rules = rules_for(row.project);
  job.scope = std::make_unique<Scope>(
      ScopeOptions{job.rules->program, std::make_unique<Sink>(*this, *job.rules, job.name), {}});
  return job;
}

void LogReplay::close(OpenJob& job) {
  JobSummary summary;
  job.scope->summarize(summary);
  for (const DetectionSummary& detection : summary.detections) {
    const auto index = rule_indices_.at({detection.rule.ruleset_id, detection.rule.rule.rule_id});
    report_.rules[index].hits += detection.count;
    ++report_.rules[index].jobs;
  }
}

void LogReplay::add_line(std::string_view line, const std::function<std::string()>& place) {
  Result<const LogRow*> row = reader_.read(line);
  if (!row) return add_bad_line(place, std::move(row.error().text));
  ++report_.rows;
  if ((*row)->kind != LogRow::Kind::kEvent) {
    ++report_.other_rows;
    return;
  }
  ++report_.events;
  if ((*row)->has_shortened_arguments) ++report_.shortened_arguments;
  if ((*row)->has_most_ancestors) ++report_.most_ancestors;
  OpenJob& job = job_of(**row);
  Evaluator& evaluator = *job.rules->evaluator;
  const std::uint64_t cut_before = evaluator.cut_evaluations();
  job.scope->handle((*row)->record, evaluator.evaluate((*row)->record));
  report_.cut_evaluations += evaluator.cut_evaluations() - cut_before;
}

void LogReplay::add_bad_line(const std::function<std::string()>& place, std::string reason) {
  ++report_.rows;
  ++report_.bad_rows;
  if (report_.first_bad_rows.size() >= kMaxBadRowsKept) return;
  report_.first_bad_rows.push_back({place(), std::move(reason)});
}

ReplayReport LogReplay::finish() {
  for (OpenJob& job : jobs_) close(job);
  jobs_by_key_.clear();
  jobs_.clear();
  return std::move(report_);
}

Result<void> replay_lines(int fd, const std::string& name, LogReplay& replay) {
  std::string line;
  std::uint64_t number = 1;
  bool is_too_long = false;
  const auto place = [&] { return name + ":" + std::to_string(number); };
  const auto end_line = [&] {
    if (is_too_long) {
      replay.add_bad_line(place, "the row is longer than 4 MiB");
    } else if (!line.empty()) {
      replay.add_line(line, place);
    }
    line.clear();
    is_too_long = false;
    ++number;
  };
  std::vector<char> buffer(256 * 1024);
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read " + name);
    if (got == 0) break;
    std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
    while (!rest.empty()) {
      const std::size_t newline = rest.find('\n');
      const std::string_view part = rest.substr(0, newline);
      is_too_long = is_too_long || line.size() + part.size() > kMaxRowBytes;
      if (!is_too_long) line.append(part);
      if (newline == std::string_view::npos) break;
      rest.remove_prefix(newline + 1);
      end_line();
    }
  }
  // Every row ends in a newline: what does not was cut off while it was written.
  if (is_too_long || !line.empty()) end_line();
  return {};
}

}  // namespace cicd
