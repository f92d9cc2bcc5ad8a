// SPDX-License-Identifier: Apache-2.0
#include "job/job.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <latch>
#include <thread>

#include "support/records.h"

namespace cicd {
namespace {

using support::function_evaluator;
using support::FunctionProgram;
using support::make_exec;
using support::make_open;
using support::make_process;

// Counts rows; holds the worker at the first event until `go` (when there is one).
class CountingSink final : public ScopeSink {
 public:
  struct Counts {
    std::uint64_t opens = 0, others = 0, detections = 0, flushes = 0;
  };
  explicit CountingSink(Counts& counts, std::latch* go = nullptr) : counts_(counts), go_(go) {}
  void on_event(const EventRecord& record) override {
    if (go_ != nullptr) go_->wait();
    ++(record.type == EventType::kFileOpen ? counts_.opens : counts_.others);
  }
  void on_detection(const EventRecord&, const CompiledRule&, bool) override {
    ++counts_.detections;
  }
  void flush() override { ++counts_.flushes; }
  LossReport losses() const override { return {}; }

 private:
  Counts& counts_;
  std::latch* go_;
};

void add(EventBatch& batch, const EventRecord& record, int count = 1) {
  for (int i = 0; i < count; ++i) batch.records.push_back(record);
}

EventRecord open_record() { return make_open(make_process(1, "/bin/cat", {}), "/x"); }
EventRecord exec_record() { return make_exec(make_process(1, "/bin/cat", {})); }

std::uint64_t lost(const JobSummary& summary, std::string_view what) {
  for (const LossEntry& entry : summary.losses.entries) {
    if (entry.what == what && entry.reason == "queue_full") return entry.count;
  }
  return 0;
}

int threads_now() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

TEST(Job, EverythingThatWasSubmittedIsInTheSummary) {
  CountingSink::Counts counts;
  JobOptions options;
  options.identity.project_path = "demo";
  options.project.emplace().sink = std::make_unique<CountingSink>(counts);
  Job job(std::move(options));
  for (int i = 0; i < 500; ++i) {
    auto batch = job.take_batch();
    EXPECT_TRUE(batch->records.empty());
    add(*batch, open_record(), 3);
    add(*batch, exec_record());
    job.submit(std::move(batch));
    job.submit(job.take_batch());  // empty ones do no harm
  }
  Job::End end;
  end.finalize_reason = "command_exit";
  end.command = {"make"};
  end.command_known = true;
  end.processes_total = 7;
  end.source_losses.entries = {{"file_open", "ring_full", 4}};
  const JobSummary summary = *job.finish(end).project;
  EXPECT_EQ(summary.events_total, 2'000u);
  EXPECT_EQ(summary.events_dropped, 4u);
  EXPECT_EQ(counts.opens, 1'500u);
  EXPECT_EQ(counts.others, 500u);
  EXPECT_EQ(counts.flushes, 500u);
  EXPECT_EQ(summary.identity.project_path, "demo");
  EXPECT_EQ(summary.finalize_reason, "command_exit");
  EXPECT_EQ(summary.processes_total, 7u);
  EXPECT_EQ(job.progress().events, 2'000u);
  EXPECT_EQ(job.progress().dropped, 0u);
}

TEST(Job, JobsCountTogetherWhatWaits) {
  CountingSink::Counts counts[2];
  std::latch go(1);
  const auto backlog = std::make_shared<Backlog>(0);
  std::vector<std::unique_ptr<Job>> jobs;
  for (CountingSink::Counts& own : counts) {
    JobOptions options;
    options.queue_records = 100;
    options.backlog = backlog;
    options.project.emplace().sink = std::make_unique<CountingSink>(own, &go);
    jobs.push_back(std::make_unique<Job>(std::move(options)));
  }
  for (const std::unique_ptr<Job>& job : jobs) {
    auto batch = job->take_batch();
    add(*batch, exec_record(), 60);
    add(*batch, open_record(), 60);  // 15 fit
    job->submit(std::move(batch));
  }
  EXPECT_EQ(backlog->load(), 150u) << "what was dropped does not wait";
  go.count_down();
  for (const std::unique_ptr<Job>& job : jobs) job->finish({});
  EXPECT_EQ(backlog->load(), 0u);
}

// 100 records of room: opens get 75 of them, the rest only what is left.
TEST(Job, DropsOpensFirstAndCountsEveryDrop) {
  CountingSink::Counts counts;
  std::latch go(1);
  JobOptions options;
  options.queue_records = 100;
  options.project.emplace().sink = std::make_unique<CountingSink>(counts, &go);
  Job job(std::move(options));
  auto batch = job.take_batch();
  add(*batch, open_record(), 70);
  job.submit(std::move(batch));
  batch = job.take_batch();
  add(*batch, exec_record(), 10);  // room: 80
  add(*batch, open_record(), 10);  // over three quarters: dropped
  add(*batch, exec_record(), 30);  // 20 fit
  add(*batch, open_record(), 1);
  job.submit(std::move(batch));
  batch = job.take_batch();
  add(*batch, exec_record(), 2);  // full
  job.submit(std::move(batch));
  EXPECT_EQ(job.progress().dropped, 23u);
  go.count_down();
  const JobSummary summary = *job.finish({}).project;
  EXPECT_EQ(counts.opens, 70u);
  EXPECT_EQ(counts.others, 30u);
  EXPECT_EQ(lost(summary, "file_open"), 11u);
  EXPECT_EQ(lost(summary, "process_exec"), 12u);
  EXPECT_EQ(summary.events_dropped, 23u);
  EXPECT_EQ(summary.events_total, 100u);
}

TEST(Job, ABatchBiggerThanTheQueueIsCutNotRefused) {
  CountingSink::Counts counts;
  JobOptions options;
  options.queue_records = 8;
  options.project.emplace().sink = std::make_unique<CountingSink>(counts);
  Job job(std::move(options));
  auto batch = job.take_batch();
  add(*batch, open_record(), 20);
  add(*batch, exec_record(), 20);
  job.submit(std::move(batch));
  const JobSummary summary = *job.finish({}).project;
  EXPECT_EQ(counts.opens, 6u);
  EXPECT_EQ(counts.others, 2u);
  EXPECT_EQ(summary.events_total + summary.events_dropped, 40u);
}

TEST(Job, UnderPressureEveryRecordIsEitherSeenOrCounted) {
  CountingSink::Counts counts;
  JobOptions options;
  options.queue_records = 64;
  options.project.emplace().sink = std::make_unique<CountingSink>(counts);
  Job job(std::move(options));
  std::uint64_t last_seen = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto batch = job.take_batch();
    add(*batch, open_record(), i % 7);
    add(*batch, exec_record(), i % 3);
    job.submit(std::move(batch));
    const JobProgress progress = job.progress();
    EXPECT_GE(progress.events, last_seen);
    last_seen = progress.events;
  }
  const JobSummary summary = *job.finish({}).project;
  std::uint64_t submitted = 0;
  for (int i = 0; i < 20'000; ++i) submitted += static_cast<std::uint64_t>(i % 7 + i % 3);
  EXPECT_EQ(summary.events_total + summary.events_dropped, submitted);
  EXPECT_EQ(counts.opens + counts.others, summary.events_total);
}

TEST(Job, EvaluatesRulesOnItsWorker) {
  CountingSink::Counts counts;
  auto program = std::make_shared<FunctionProgram>();
  const std::thread::id here = std::this_thread::get_id();
  bool on_worker = true;
  program->add("a", RuleAction::kDetect, 2, [&](const EventRecord& record) {
    if (std::this_thread::get_id() == here) on_worker = false;
    return record.type == EventType::kFileOpen;
  });
  JobOptions options;
  options.evaluator = function_evaluator(program);
  options.project.emplace().sink = std::make_unique<CountingSink>(counts);
  options.project->program = program;
  Job job(std::move(options));
  auto batch = job.take_batch();
  add(*batch, open_record(), 5);
  add(*batch, exec_record(), 5);
  job.submit(std::move(batch));
  const JobSummary summary = *job.finish({}).project;
  EXPECT_TRUE(on_worker);
  EXPECT_EQ(counts.detections, 2u);
  EXPECT_EQ(job.progress().detections, 5u);
  EXPECT_EQ(summary.result, JobResult::kDetected);
}

std::shared_ptr<const Program> rule_of(const std::string& set, const std::string& condition) {
  const LoadedRules loaded =
      load_rules_from_text("rule_sets:\n- ruleset_id: " + set +
                               "\n  rules:\n  - {rule_id: same, event_type: file_open, "
                               "action: detect, condition: '" +
                               condition + "'}\n",
                           "t.yaml");
  return compile(loaded.rule_sets).program;
}

TEST(Job, EachScopeGetsItsOwnHits) {
  CountingSink::Counts host, project;
  JobOptions options;
  options.host.emplace(
      ScopeOptions{rule_of("host", "path == \"/x\""), std::make_unique<CountingSink>(host), {}});
  Job job(std::move(options));
  EXPECT_TRUE(job.has_scope(ScopeKind::kHost));
  EXPECT_FALSE(job.has_scope(ScopeKind::kProject));
  auto batch = job.take_batch();
  add(*batch, open_record(), 2);
  job.submit(std::move(batch));
  while (job.progress().events < 2) std::this_thread::yield();

  ASSERT_TRUE(job.attach_project(
      {rule_of("project", "path.startsWith(\"/\")"), std::make_unique<CountingSink>(project), {}}));
  EXPECT_TRUE(job.has_scope(ScopeKind::kProject));
  EXPECT_FALSE(job.attach_project({})) << "one is enough";
  batch = job.take_batch();
  add(*batch, open_record());
  add(*batch, make_open(make_process(1, "/bin/cat", {}), "/y"));
  job.submit(std::move(batch));
  const JobSummaries summaries = job.finish({});
  ASSERT_TRUE(summaries.host && summaries.project);
  EXPECT_EQ(summaries.host->events_total, 4u);
  ASSERT_EQ(summaries.host->detections.size(), 1u);
  EXPECT_EQ(summaries.host->detections[0].rule.ruleset_id, "host");
  EXPECT_EQ(summaries.host->detections[0].count, 3u);
  EXPECT_EQ(summaries.project->events_total, 2u) << "since it is there";
  ASSERT_EQ(summaries.project->detections.size(), 1u);
  EXPECT_EQ(summaries.project->detections[0].rule.ruleset_id, "project");
  EXPECT_EQ(summaries.project->detections[0].count, 2u);
  EXPECT_EQ(host.detections + project.detections, 5u);
  EXPECT_EQ(job.progress().events, 4u);
}

TEST(Job, AProjectThatComesToAJobWithoutEventsHasASummary) {
  Job job({});
  EXPECT_TRUE(job.attach_project({}));
  const JobSummaries summaries = job.finish({});
  EXPECT_FALSE(summaries.host);
  EXPECT_TRUE(summaries.project);
}

TEST(Job, ASnapshotHasAllThatWasSubmittedBefore) {
  std::latch go(1);
  CountingSink::Counts host;
  JobOptions options;
  options.host.emplace(ScopeOptions{
      rule_of("host", "path == \"/x\""), std::make_unique<CountingSink>(host, &go), {}, 3});
  Job job(std::move(options));
  const auto submit = [&] {
    auto batch = job.take_batch();
    add(*batch, open_record(), 2);
    job.submit(std::move(batch));
  };
  submit();
  std::vector<JobSummary> seen;
  const auto keep = [&](JobSummary summary) { seen.push_back(std::move(summary)); };
  EXPECT_TRUE(job.snapshot(ScopeKind::kHost, {.finalize_reason = "request"}, keep));
  EXPECT_TRUE(job.snapshot(ScopeKind::kProject, {}, keep)) << "never given: there is no such scope";
  submit();
  EXPECT_TRUE(job.snapshot(ScopeKind::kHost, {}, keep));
  go.count_down();
  const JobSummaries summaries = job.finish({});
  EXPECT_FALSE(job.snapshot(ScopeKind::kHost, {}, keep)) << "the job has ended";
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].events_total, 2u);
  EXPECT_EQ(seen[0].finalize_reason, "request");
  EXPECT_EQ(seen[0].rule_count, 1u);
  EXPECT_EQ(seen[0].rule_warnings, 3u);
  ASSERT_EQ(seen[0].detections.size(), 1u);
  EXPECT_EQ(seen[0].detections[0].count, 2u);
  ASSERT_EQ(seen[0].detections[0].alerts.size(), 2u);
  EXPECT_EQ(seen[0].detections[0].alerts[0].payload,
            R"({"flags":524288,"is_read":true,"is_write":false,"path":"/x"})");
  EXPECT_EQ(seen[1].events_total, 4u);
  EXPECT_EQ(summaries.host->events_total, 4u);
}

TEST(Job, RecyclesBatches) {
  JobOptions options;
  Job job(std::move(options));
  auto batch = job.take_batch();
  const EventBatch* first = batch.get();
  add(*batch, open_record());
  job.submit(std::move(batch));
  while (job.progress().events == 0) std::this_thread::yield();
  std::vector<std::unique_ptr<EventBatch>> taken;
  bool seen = false;
  for (int i = 0; i < 10'000 && !seen; ++i) {
    taken.push_back(job.take_batch());
    seen = taken.back().get() == first;
    if (!seen) std::this_thread::yield();
  }
  EXPECT_TRUE(seen);
  EXPECT_TRUE(taken.back()->records.empty());
}

TEST(Job, LeavesNoThreadBehindFinishedOrNot) {
  const int before = threads_now();
  for (int i = 0; i < 20; ++i) {
    Job job(JobOptions{});
    auto batch = job.take_batch();
    add(*batch, open_record(), 10);
    job.submit(std::move(batch));
    if (i % 2 == 0) job.finish({});
  }
  // A thread that was joined is in /proc until the kernel has taken it away.
  for (int i = 0; i < 10'000 && threads_now() != before; ++i) ::usleep(1'000);
  EXPECT_EQ(threads_now(), before);
}

}  // namespace
}  // namespace cicd
