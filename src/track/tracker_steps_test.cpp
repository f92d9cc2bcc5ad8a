// SPDX-License-Identifier: Apache-2.0
// Whose step a process has: told by its own variables, else its parent's.
#include <gtest/gtest.h>

#include <map>

#include "track/tracker_test_support.h"

namespace cicd {
namespace {

// "S=id/name" tells a step; the table of platforms has tests of its own.
std::optional<Step> step_of(std::string_view environment, std::span<const std::string> /*argv*/) {
  if (!environment.starts_with("S=")) return std::nullopt;
  environment = environment.substr(2, environment.find('\0') - 2);
  const std::size_t slash = environment.find('/');
  return Step{std::string(environment.substr(0, slash)),
              std::string(environment.substr(slash + 1))};
}

struct FakeProcReader : ProcReader {
  std::map<std::uint32_t, ProcFacts> processes;
  std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t /*start_time_ns*/) override {
    const auto found = processes.find(pid);
    if (found == processes.end()) return std::nullopt;
    return found->second;
  }
};

constexpr Actor kChild{.pid = 200, .start_time_ns = 3'000, .exec_id = 1, .time_ns = 4'000};
constexpr Actor kGrandchild{.pid = 300, .start_time_ns = 5'000, .exec_id = 1, .time_ns = 6'000};

class TrackerSteps : public ::testing::Test {
 protected:
  TrackerSteps() {
    auto reader = std::make_unique<FakeProcReader>();
    proc_ = &reader->processes;
    TrackerOptions options;
    options.proc_reader = std::move(reader);
    options.step_of = step_of;
    bench_ = std::make_unique<TrackerBench>(std::move(options));
    bench_->start_shell();
  }

  void start(const Actor& child, const Actor& parent, const std::string& variable = {}) {
    bench_->send(fork_sample(child, parent));
    ExecParts parts;
    if (!variable.empty()) parts.environment = {variable};
    bench_->send(exec_sample(child.image(child.exec_id + 1), parts));
  }
  // The step of what this one does next.
  std::string step(const Actor& actor) {
    bench_->send(open_sample(actor, {.path = walked("/f")}));
    const EventRecord& record = bench_->records().back();
    EXPECT_EQ(record.step, record.process->step);
    return record.step ? record.step->id + "/" + record.step->name : "none";
  }

  std::unique_ptr<TrackerBench> bench_;
  std::map<std::uint32_t, ProcFacts>* proc_ = nullptr;
};

TEST_F(TrackerSteps, VariablesTellItAndTheExecHasItToo) {
  start(kChild, kShell, "S=1/build");
  const EventRecord& exec = bench_->records().back();
  ASSERT_EQ(exec.type, EventType::kProcessExec);
  ASSERT_TRUE(exec.step);
  EXPECT_EQ(exec.step->name, "build");
  EXPECT_EQ(step(kChild.image(2)), "1/build");
  // What started it is in none.
  EXPECT_EQ(step(kShell), "none");
}

TEST_F(TrackerSteps, ChildrenInheritIt) {
  start(kChild, kShell, "S=1/build");
  bench_->send(fork_sample(kGrandchild, kChild.image(2)));
  EXPECT_EQ(step(kGrandchild), "1/build");
  // A program with an empty environment.
  bench_->send(exec_sample(kGrandchild.image(2), {}));
  EXPECT_EQ(step(kGrandchild.image(2)), "1/build");
  // One that has the same, and one that is told another.
  bench_->send(exec_sample(kGrandchild.image(3), {.environment = {"S=1/build"}}));
  EXPECT_EQ(step(kGrandchild.image(3)), "1/build");
  bench_->send(exec_sample(kGrandchild.image(4), {.environment = {"S=2/test"}}));
  EXPECT_EQ(step(kGrandchild.image(4)), "2/test");
  // Opens travel in another ring: one of the program before comes late.
  EXPECT_EQ(step(kGrandchild.image(3)), "1/build");
}

TEST_F(TrackerSteps, StepsOneAfterTheOtherDoNotMix) {
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Actor child{.pid = 200 + i, .start_time_ns = 3'000 + i, .exec_id = 1};
    const std::string id = std::to_string(i);
    start(child, kShell, "S=" + id + "/step " + id);
    EXPECT_EQ(step(child.image(2)), id + "/step " + id);
  }
}

TEST_F(TrackerSteps, StepsAreMadeOnce) {
  start(kChild, kShell, "S=1/build");
  const Step* first = bench_->records().back().step.get();
  start(kGrandchild, kShell, "S=1/build");
  EXPECT_EQ(bench_->records().back().step.get(), first);
}

TEST_F(TrackerSteps, EventsAfterTheEndHaveIt) {
  start(kChild, kShell, "S=1/build");
  bench_->send(exit_sample(kChild.image(2)));
  EXPECT_EQ(bench_->records().back().step->id, "1");
  EXPECT_EQ(step(kChild.image(2)), "1/build");
}

TEST_F(TrackerSteps, ProcTellsThoseThatWereThereBefore) {
  using std::string_literals::operator""s;
  (*proc_)[400] = {.parent_pid = 1, .exec_path = "/bin/a", .environment = "S=1/build\0"s};
  EXPECT_EQ(step({.pid = 400}), "1/build");
  // One without variables, a child of it.
  (*proc_)[401] = {.parent_pid = 400, .exec_path = "/bin/b"};
  EXPECT_EQ(step({.pid = 401}), "1/build");
  // An exec that was not seen.
  (*proc_)[400].environment = "S=2/test\0"s;
  EXPECT_EQ(step(Actor{.pid = 400}.image(2)), "2/test");
  (*proc_)[400].environment.clear();
  EXPECT_EQ(step(Actor{.pid = 400}.image(3)), "2/test");
}

TEST_F(TrackerSteps, AProcessCannotMakeUpStepsWithoutEnd) {
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    bench_->send(
        exec_sample(kShell.image(2 + i), {.environment = {"S=" + std::to_string(i) + "/"}}));
  }
  EXPECT_EQ(bench_->lost("step", "table_full"), 2'000u - 1'024u);
  EXPECT_EQ(bench_->records().back().step->id, "1023");
  // Those that are known still count.
  bench_->send(exec_sample(kShell.image(5'000), {.environment = {"S=7/"}}));
  EXPECT_EQ(bench_->records().back().step->id, "7");
  // Another job has its own.
  bench_->tracker().remove_job(1);
  bench_->tracker().register_job(1, 42, "/job");
  bench_->send(exec_sample(kShell, {.environment = {"S=new/"}}));
  EXPECT_EQ(bench_->records().back().step->id, "new");
  EXPECT_EQ(bench_->lost("step", "table_full"), 0u);
}

TEST_F(TrackerSteps, WhatCouldNotBeReadIsCounted) {
  const auto exec = [&](std::uint32_t image, const std::string& bytes, std::uint32_t flags) {
    bench_->send(exec_sample(
        kShell.image(image), {},
        {walked("/bin/x"), raw("x"), walked("/"), arguments({"x"}), raw(bytes, flags)}));
  };
  exec(2, "S=1/build", CICD_STRING_TRUNCATED);
  EXPECT_EQ(bench_->lost("step", "environment_cut"), 0u);
  exec(3, "", CICD_STRING_TRUNCATED);
  exec(4, "", CICD_STRING_FAULT);
  exec(5, "", 0);
  EXPECT_EQ(bench_->lost("step", "environment_cut"), 2u);
  EXPECT_EQ(step(kShell.image(5)), "1/build");
}

TEST(TrackerWithoutSteps, NobodyAsksForThem) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(exec_sample(kShell.image(2), {.environment = {"S=1/build"}}));
  EXPECT_FALSE(bench.records().back().step);
}

}  // namespace
}  // namespace cicd
