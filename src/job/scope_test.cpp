// SPDX-License-Identifier: Apache-2.0
#include "job/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job/subject.h"
#include "support/records.h"

namespace cicd {
namespace {

using support::FunctionEvaluator;
using support::FunctionProgram;
using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;
using testing::ElementsAre;

// Writes down what it is told.
class ListSink final : public ScopeSink {
 public:
  explicit ListSink(std::vector<std::string>& calls) : calls_(calls) {}
  void on_event(const EventRecord& record) override {
    calls_.emplace_back(info_of(record.type).name);
  }
  void on_detection(const EventRecord&, const CompiledRule& rule, bool is_last_alert) override {
    calls_.push_back(rule.rule.rule_id + (is_last_alert ? " last" : ""));
  }
  void flush() override { calls_.emplace_back("flush"); }
  LossReport losses() const override { return {{{"events.jsonl", "output_error", 2}}, 0}; }

 private:
  std::vector<std::string>& calls_;
};

struct Fixture {
  explicit Fixture(std::shared_ptr<FunctionProgram> given)
      : program(std::move(given)),
        evaluator(program),
        scope({.program = program,
               .sink = std::make_unique<ListSink>(calls),
               .on_terminate = [this](const EventRecord& record, const CompiledRule& rule) {
                 calls.push_back("end the job: " + rule.rule.rule_id + " " + subject_of(record));
               }}) {}
  void handle(const EventRecord& record) { scope.handle(record, evaluator.evaluate(record)); }
  JobSummary summary() const {
    JobSummary out;
    scope.summarize(out);
    return out;
  }
  std::vector<std::string> calls;
  std::shared_ptr<FunctionProgram> program;
  FunctionEvaluator evaluator;
  Scope scope;
};

bool is_open(const EventRecord& record) { return record.type == EventType::kFileOpen; }
bool always(const EventRecord&) { return true; }

TEST(Scope, EventFirstThenItsHitsInOrderOfTheRules) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("a", RuleAction::kDetect, 10, always).add("b", RuleAction::kCollect, 10, is_open);
  Fixture f(program);
  f.handle(make_open(make_process(1, "/bin/cat", {}), "/x"));
  f.handle(make_exec(make_process(1, "/bin/cat", {})));
  f.scope.flush();
  EXPECT_THAT(f.calls, ElementsAre("file_open", "a", "b", "process_exec", "a", "flush"));
}

TEST(Scope, CorrelationsFireOnceBehindTheHitThatMakesThemTrue) {
  const LoadedRules loaded = load_rules_from_text(
      "rule_sets:\n- ruleset_id: s\n  rules:\n"
      "  - {rule_id: both, type: correlation, action: detect, condition: 'rule.a.total_count > "
      "1'}\n"
      "  - {rule_id: a, event_type: file_open, action: collect, condition: is_read, max_alerts: "
      "1}\n",
      "t.yaml");
  const CompileResult compiled = compile(loaded.rule_sets);
  ASSERT_NE(compiled.program, nullptr);
  std::vector<std::string> calls;
  Scope scope(
      {.program = compiled.program, .sink = std::make_unique<ListSink>(calls), .on_terminate = {}});
  const auto evaluator = make_evaluator(compiled.program);
  for (int i = 0; i < 3; ++i) {
    const EventRecord record = make_open(make_process(1, "/bin/cat", {}), "/x");
    scope.handle(record, evaluator->evaluate(record));
  }
  // Counted beyond the cap of alerts.
  EXPECT_THAT(calls, ElementsAre("file_open", "a last", "file_open", "both", "file_open"));
  JobSummary summary;
  scope.summarize(summary);
  ASSERT_EQ(summary.detections.size(), 2u);
  EXPECT_EQ(summary.detections[0].rule.rule.rule_id, "both");
  EXPECT_EQ(summary.detections[0].count, 1u);
  ASSERT_EQ(summary.detections[0].alerts.size(), 1u);
  EXPECT_EQ(summary.detections[0].alerts[0].subject, "/x");
  EXPECT_EQ(summary.result, JobResult::kDetected);
}

TEST(Scope, AlertsEndAtTheCapAndHitsAreCountedOn) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("a", RuleAction::kDetect, 2, always);
  Fixture f(program);
  for (int i = 0; i < 5; ++i) f.handle(make_open(make_process(1, "/bin/cat", {}), "/x"));
  EXPECT_THAT(f.calls, ElementsAre("file_open", "a", "file_open", "a last", "file_open",
                                   "file_open", "file_open"));
  const JobSummary summary = f.summary();
  ASSERT_EQ(summary.detections.size(), 1u);
  EXPECT_EQ(summary.detections[0].count, 5u);
  EXPECT_EQ(summary.detections[0].alerts.size(), 2u);
  EXPECT_EQ(summary.detections[0].alerts[0].subject, "/x");
  EXPECT_EQ(f.scope.detections(), 5u);
}

TEST(Scope, TerminateHasNoCapInTheRows) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("t", RuleAction::kTerminate, 1, always);
  Fixture f(program);
  for (int i = 0; i < 3; ++i) f.handle(make_exec(make_process(1, "/bin/x", {})));
  EXPECT_EQ(std::ranges::count(f.calls, "t"), 3);
  EXPECT_EQ(f.summary().result, JobResult::kDetected);  // that the job was ended says who did it
  EXPECT_EQ(f.summary().detections[0].alerts.size(), 1u);
}

TEST(Scope, TerminateIsSaidBeforeAnythingIsWritten) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("t", RuleAction::kTerminate, 1, is_open).add("d", RuleAction::kDetect, 1, always);
  Fixture f(program);
  f.handle(make_exec(make_process(1, "/bin/x", {})));
  f.handle(make_open(make_process(1, "/bin/x", {}), "/y"));
  EXPECT_THAT(f.calls,
              ElementsAre("process_exec", "d last", "file_open", "end the job: t /y", "t"));
}

TEST(Scope, TerminateWithNobodyToDoItIsADetection) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("t", RuleAction::kTerminate, 1, always);
  Scope scope({.program = program, .sink = nullptr, .on_terminate = {}});
  FunctionEvaluator evaluator(program);
  const EventRecord record = make_exec(make_process(1, "/bin/x", {}));
  scope.handle(record, evaluator.evaluate(record));
  JobSummary summary;
  scope.summarize(summary);
  EXPECT_EQ(summary.result, JobResult::kDetected);
  summary.set_terminated({.ruleset_id = "r", .rule_id = "t"});
  EXPECT_EQ(summary.result, JobResult::kTerminated);
  EXPECT_EQ(summary.finalize_reason, "terminate");
}

TEST(Scope, CollectIsNoDetection) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("c", RuleAction::kCollect, 1, always);
  Fixture f(program);
  f.handle(make_exec(make_process(1, "/bin/x", {})));
  EXPECT_EQ(f.summary().result, JobResult::kPassed);
  EXPECT_EQ(f.scope.detections(), 0u);
  EXPECT_EQ(f.summary().detections.size(), 1u);
}

TEST(Scope, MostSevereFirstThenFirstSeen) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("collect", RuleAction::kCollect, 1, always);
  program->add("late", RuleAction::kDetect, 1, is_open);
  program->add("early", RuleAction::kDetect, 1, always);
  program->add("never", RuleAction::kDetect, 1, [](const EventRecord&) { return false; });
  program->add("kill", RuleAction::kTerminate, 1, is_open);
  Fixture f(program);
  f.handle(make_exec(make_process(1, "/bin/x", {})));
  f.handle(make_open(make_process(1, "/bin/x", {}), "/y"));
  std::vector<std::string> order;
  for (const DetectionSummary& d : f.summary().detections) order.push_back(d.rule.rule.rule_id);
  EXPECT_THAT(order, ElementsAre("kill", "early", "late", "collect"));
}

TEST(Scope, SummaryCountsEventsByTypeNamesRuleSetsOnceAndTakesTheSinksLosses) {
  auto program = std::make_shared<FunctionProgram>();
  program->add("a", RuleAction::kDetect, 1, always).add("b", RuleAction::kDetect, 1, always);
  Fixture f(program);
  f.handle(make_exec(make_process(1, "/bin/x", {})));
  f.handle(make_open(make_process(1, "/bin/x", {}), "/y"));
  f.handle(make_open(make_process(1, "/bin/x", {}), "/y"));
  JobSummary summary;
  summary.losses.entries = {{"file_open", "ring_full", 3}, {"events.jsonl", "output_error", 1}};
  f.scope.summarize(summary);
  EXPECT_EQ(summary.events_total, 3u);
  EXPECT_EQ(summary.events_by_type[static_cast<std::size_t>(EventType::kFileOpen)], 2u);
  EXPECT_EQ(summary.rule_sets.size(), 1u);
  ASSERT_EQ(summary.losses.entries.size(), 2u);
  EXPECT_EQ(summary.losses.entries[1].count, 3u);
  EXPECT_EQ(summary.losses.total(), 6u);
}

TEST(Scope, WorksWithoutRulesAndWithoutRows) {
  Scope scope({});
  scope.handle(make_exec(make_process(1, "/bin/x", {})), {});
  scope.flush();
  JobSummary summary;
  scope.summarize(summary);
  EXPECT_EQ(summary.events_total, 1u);
  EXPECT_EQ(summary.result, JobResult::kPassed);
}

TEST(Subject, SaysWhatTheEventWasAbout) {
  const auto curl = make_process(1, "/usr/bin/curl", {"curl", "-sS", "--header", "secret"});
  EXPECT_EQ(subject_of(make_exec(curl)), "/usr/bin/curl -sS --header <redacted>");
  EXPECT_EQ(subject_of(make_open(curl, "/etc/shadow")), "/etc/shadow");
  EXPECT_EQ(subject_of(make_connect(curl, "10.0.0.1", 53, "udp")), "10.0.0.1:53/udp");
  EventRecord v6 = make_connect(curl, "2001:db8::1", 443);
  v6.fields[field::network_connect::kDomain] = "a.example";
  EXPECT_EQ(subject_of(v6), "[2001:db8::1]:443/tcp (a.example)");
  EventRecord script = make_exec(make_process(1, "/bin/sh", {"/bin/sh", "./x.sh", "a"}));
  script.fields[field::process_exec::kScriptPath] = "/w/x.sh";
  EXPECT_EQ(subject_of(script), "/w/x.sh a");
  EventRecord exit = support::make_record(EventType::kProcessExit, curl);
  exit.fields[field::process_exit::kExitCode] = 3;
  EXPECT_EQ(subject_of(exit), "exit code 3");
  const std::string longest(5'000, 'x');
  EXPECT_EQ(subject_of(make_open(curl, longest)).size(), 1'024u);
}

// Policy and sink of the tests below.
ScopeEgress observing(EgressMode mode) {
  PolicyDocument document;
  document.profile = "ci";
  document.version_digest = "sha256:00";
  EgressRule rule;
  rule.rule_id = "allow[0]";
  rule.host = "ok.test";
  document.rules = {rule};
  return {std::make_shared<const EgressPolicy>(std::move(document), PolicySubject{}), mode};
}

class ViolationSink final : public ScopeSink {
 public:
  explicit ViolationSink(std::vector<std::string>& rows) : rows_(rows) {}
  void on_event(const EventRecord& record) override {
    rows_.emplace_back(info_of(record.type).name);
  }
  void on_detection(const EventRecord&, const CompiledRule&, bool) override {}
  void on_violation(const Violation& violation, const PolicyRef& policy) override {
    rows_.push_back(std::string(policy.scope) + " " + std::string(name_of(violation.verdict)) +
                    " " + std::string(name_of(violation.reason)) + " " + std::string(violation.ip) +
                    " x" + std::to_string(violation.count));
  }
  void flush() override {}
  LossReport losses() const override { return {}; }

 private:
  std::vector<std::string>& rows_;
};

TEST(Scope, ViolationsFollowTheEventAndRepeatsAreMerged) {
  std::vector<std::string> rows;
  Scope scope({.sink = std::make_unique<ViolationSink>(rows),
               .egress = observing(EgressMode::kObserve),
               .kind = ScopeKind::kHost});
  const ProcessRef curl = make_process(1, "/usr/bin/curl", {"curl"});
  EventRecord allowed = make_connect(curl, "192.0.2.1", 443);
  allowed.fields[field::network_connect::kDomain] = "ok.test";
  scope.handle(allowed, {});
  for (int i = 0; i < 4; ++i) scope.handle(make_connect(curl, "192.0.2.7", 443), {});
  scope.flush();
  EXPECT_THAT(rows,
              ElementsAre("network_connect", "network_connect", "host allow direct_ip 192.0.2.7 x1",
                          "network_connect", "network_connect", "network_connect"));
  JobSummary summary;
  scope.summarize(summary);
  ASSERT_TRUE(summary.egress);
  EXPECT_EQ(summary.egress->count(EgressVerdict::kAllow), 4u) << "before they are told";
  scope.end();
  EXPECT_EQ(rows.back(), "host allow direct_ip 192.0.2.7 x3");
  EXPECT_EQ(summary.egress->mode, EgressMode::kObserve);
  EXPECT_EQ(summary.egress->profile, "ci");
  EXPECT_EQ(summary.egress->version, "sha256:00");
  ASSERT_EQ(summary.egress->top.size(), 1u);
  const ViolationUse& top = summary.egress->top[0];
  EXPECT_EQ(top.ip, "192.0.2.7");
  EXPECT_EQ(top.port, 443);
  EXPECT_EQ(top.reason, EgressReason::kDirectIp);
  EXPECT_EQ(top.count, 4u);
  EXPECT_THAT(top.exec_paths, ElementsAre("/usr/bin/curl"));
  EXPECT_EQ(top.processes.traces.size(), 1u);
  EXPECT_EQ(summary.result, JobResult::kPassed) << "a violation is no detection";
}

TEST(Scope, WithoutAPolicyThereIsNothingToSayOfEgress) {
  Scope scope({});
  scope.handle(make_connect(make_process(1, "/bin/x", {}), "192.0.2.7", 443), {});
  JobSummary summary;
  scope.summarize(summary);
  EXPECT_FALSE(summary.egress);
  Scope learning({.egress = {nullptr, EgressMode::kLearn}});
  learning.summarize(summary);
  ASSERT_TRUE(summary.egress);
  EXPECT_FALSE(summary.egress->has_policy);
}

}  // namespace
}  // namespace cicd
