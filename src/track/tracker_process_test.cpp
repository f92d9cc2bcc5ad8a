// SPDX-License-Identifier: Apache-2.0
// Which process a sample belongs to: forks, execs, reused pids, late samples, lost ones, depth.
#include <gtest/gtest.h>

#include <map>

#include "track/tracker_test_support.h"

namespace cicd {
namespace {

const Actor kChild{.pid = 200, .start_time_ns = 5'000, .time_ns = 5'000};

OpenParts some_open() { return {.path = walked("/x")}; }

TEST(TrackerProcess, ChildSharesTheImageUntilItExecs) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell, 33));
  bench.send(open_sample(kChild.at(5'001), some_open()));
  bench.send(exec_sample(kChild.image(2).at(5'002), {.exec_path = "/bin/ls", .uid = 44}));
  bench.send(open_sample(kChild.image(2).at(5'003), some_open()));
  ASSERT_EQ(bench.records().size(), 3u);
  const ProcessRef forked = bench.records()[0].process;
  const ProcessRef execed = bench.records()[1].process;
  EXPECT_EQ(forked->exec_path(), "/bin/sh");
  EXPECT_EQ(forked->uid, 33u);
  EXPECT_EQ(forked->image, forked->parent->image);
  EXPECT_EQ(execed->exec_path(), "/bin/ls");
  EXPECT_EQ(execed->uid, 44u);
  EXPECT_EQ(execed->parent, forked->parent);
  EXPECT_EQ(execed->parent->exec_path(), "/bin/sh");
  EXPECT_EQ(execed->depth, 1);
  EXPECT_EQ(bench.records()[2].process, execed);
}

TEST(TrackerProcess, ChildKeepsThePictureOfTheParentAtFork) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell));
  bench.send(exec_sample(kShell.image(2), {.exec_path = "/bin/other"}));
  bench.send(open_sample(kChild, some_open()));
  EXPECT_EQ(bench.records().back().process->parent->exec_path(), "/bin/sh");
}

TEST(TrackerProcess, LateOpensBelongToTheProgramThatMadeThem) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(exec_sample(kShell.image(2), {.exec_path = "/bin/second"}));
  bench.send(exec_sample(kShell.image(3), {.exec_path = "/bin/third"}));
  bench.send(exit_sample(kShell.image(3)));
  bench.batch().reset();
  for (const std::uint32_t exec_id : {1u, 2u, 3u, 0u}) {
    bench.send(open_sample(kShell.image(exec_id), some_open()));
  }
  ASSERT_EQ(bench.records().size(), 4u);
  EXPECT_EQ(bench.records()[0].process->exec_path(), "/bin/sh");
  EXPECT_EQ(bench.records()[1].process->exec_path(), "/bin/second");
  EXPECT_EQ(bench.records()[2].process->exec_path(), "/bin/third");
  // Before its first exec it was a fork of something outside the job.
  EXPECT_FALSE(bench.records()[3].process->image->is_known);
  EXPECT_EQ(bench.tracker().activity(1).processes, 0u);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 1u);
}

TEST(TrackerProcess, ForkOfAnOldImageIsThatImages) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(exec_sample(kShell.image(2), {.exec_path = "/bin/second"}));
  bench.send(fork_sample(kChild, kShell.image(1)));
  bench.send(open_sample(kChild, some_open()));
  EXPECT_EQ(bench.records().back().process->exec_path(), "/bin/sh");
}

TEST(TrackerProcess, AReusedPidIsAnotherProcess) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell));
  bench.send(exec_sample(kChild.image(2), {.exec_path = "/bin/first"}));
  bench.send(exit_sample(kChild.image(2)));
  Actor reused = kChild;
  reused.start_time_ns = 6'000;
  bench.send(fork_sample(reused, kShell));
  bench.send(exec_sample(reused.image(2), {.exec_path = "/bin/second"}));
  bench.batch().reset();
  bench.send(open_sample(kChild.image(2), some_open()));  // late
  bench.send(open_sample(reused.image(2), some_open()));
  ASSERT_EQ(bench.records().size(), 2u);
  EXPECT_EQ(bench.records()[0].process->exec_path(), "/bin/first");
  EXPECT_EQ(bench.records()[1].process->exec_path(), "/bin/second");
  EXPECT_EQ(bench.tracker().activity(1).processes, 2u);
}

TEST(TrackerProcess, AReusedPidEndsTheOneWhoseExitWasLost) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell));
  Actor reused = kChild;
  reused.start_time_ns = 6'000;
  bench.send(fork_sample(reused, kShell));
  EXPECT_EQ(bench.tracker().activity(1).processes, 2u);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 3u);
}

// A very late sample of a pid that is somebody else's by now must not end that one.
TEST(TrackerProcess, AnEarlierOwnerOfAPidIsNotAlive) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell));
  Actor earlier = kChild;
  earlier.start_time_ns = 4'000;
  bench.send(open_sample(earlier, some_open()));
  EXPECT_EQ(bench.tracker().activity(1).processes, 2u);
  bench.batch().reset();
  bench.send(open_sample(kChild, some_open()));
  EXPECT_EQ(bench.records()[0].process->exec_path(), "/bin/sh");
}

TEST(TrackerProcess, UnknownProcessesAreMarkedAndCountedOnce) {
  TrackerBench bench;
  bench.send(open_sample(kChild, some_open()));
  bench.send(open_sample(kChild, some_open()));
  ASSERT_EQ(bench.records().size(), 2u);
  EXPECT_EQ(bench.records()[0].marks, kMarkUnknownProcess);
  EXPECT_FALSE(bench.records()[0].process->image->is_known);
  EXPECT_EQ(bench.records()[0].process->pid, 200u);
  EXPECT_EQ(bench.lost("process", "start_not_seen"), 1u);
  EXPECT_EQ(bench.tracker().activity(1).processes, 1u);
  // Its exec makes it known.
  bench.send(exec_sample(kChild.image(2), {.exec_path = "/bin/ls"}));
  EXPECT_EQ(bench.records()[2].marks, 0);
  bench.send(exit_sample(kChild.image(2)));
  EXPECT_EQ(bench.tracker().activity(1).processes, 0u);
}

TEST(TrackerProcess, ALostExecIsMarkedAndCounted) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(open_sample(kShell.image(5), some_open()));
  bench.send(open_sample(kShell.image(5), some_open()));
  EXPECT_EQ(bench.records()[0].marks, kMarkUnknownProcess);
  EXPECT_EQ(bench.records()[0].process->exec_path(), "");
  EXPECT_EQ(bench.lost("process_exec", "not_seen"), 1u);
  bench.send(open_sample(kShell, some_open()));  // the image before it is still known
  EXPECT_EQ(bench.records()[2].process->exec_path(), "/bin/sh");
}

TEST(TrackerProcess, AForkAfterItsFirstSampleExplainsTheProcess) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(open_sample(kChild, some_open()));
  bench.send(fork_sample(kChild, kShell));
  bench.send(open_sample(kChild, some_open()));
  EXPECT_EQ(bench.records()[0].marks, kMarkUnknownProcess);
  EXPECT_EQ(bench.records()[1].marks, 0);
  EXPECT_EQ(bench.records()[1].process->exec_path(), "/bin/sh");
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 2u);
}

TEST(TrackerProcess, AForkToldTwiceIsOneProcess) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(fork_sample(kChild, kShell));
  bench.send(fork_sample(kChild, kShell));
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 2u);
}

TEST(TrackerProcess, AnUnknownParentInsideTheJobIsMadeUp) {
  TrackerBench bench;
  bench.send(fork_sample(kChild, kShell));
  EXPECT_EQ(bench.tracker().activity(1).processes, 2u);
  EXPECT_EQ(bench.lost("process", "start_not_seen"), 1u);
}

TEST(TrackerProcess, AParentOutsideTheJobIsNoProcessOfIt) {
  TrackerBench bench;
  bench.send(fork_sample(kShell, kSensor));
  EXPECT_EQ(bench.tracker().activity(1).processes, 1u);
  EXPECT_EQ(bench.tracker().losses(1).total(), 0u);
}

TEST(TrackerProcess, ActivityCountsTheMostAliveAtOnce) {
  TrackerBench bench;
  bench.start_shell();
  for (std::uint32_t pid = 300; pid < 310; ++pid) {
    bench.send(fork_sample({.pid = pid}, kShell));
    if (pid % 2 == 0) bench.send(exit_sample({.pid = pid}));
  }
  const JobActivity activity = bench.tracker().activity(1);
  EXPECT_EQ(activity.processes, 6u);
  EXPECT_EQ(activity.processes_seen, 11u);
  EXPECT_EQ(activity.max_processes, 6u);
}

// A process that forks, whose child forks, ... a million times: chain and memory stay bounded, and
// nothing recurses on the way down.
TEST(TrackerProcess, AMillionDeepForkChain) {
  TrackerBench bench;
  bench.start_shell();
  Actor parent = kShell;
  int deepest = 0;
  for (std::uint32_t i = 1; i <= 1'000'000; ++i) {
    Actor child = kShell;
    child.pid = 1'000 + i % 30'000;
    child.start_time_ns = 10'000 + i;
    child.time_ns = child.start_time_ns;
    bench.send(fork_sample(child, parent));
    bench.batch().reset();
    bench.send(exit_sample(parent.at(child.time_ns)));
    int chain = 0;
    for (const Process* at = bench.records()[0].process.get(); at != nullptr;
         at = at->parent.get()) {
      ++chain;
    }
    ASSERT_EQ(bench.records()[0].process->depth, chain - 1);
    deepest = std::max(deepest, chain - 1);
    parent = child;
  }
  // The deepest one is cut when it forks, which is before the exit seen here.
  EXPECT_EQ(deepest, kMaxAncestorDepth - 1);
  EXPECT_EQ(bench.tracker().activity(1).processes, 1u);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 1'000'001u);
  EXPECT_EQ(bench.tracker().losses(1).total(), 0u);
}

// Children of a process at the limit share one cut chain: no chain is built per child.
TEST(TrackerProcess, ChildrenOfADeepProcessShareTheirChain) {
  TrackerBench bench;
  bench.start_shell();
  Actor parent = kShell;
  for (std::uint32_t i = 1; i <= static_cast<std::uint32_t>(kMaxAncestorDepth); ++i) {
    Actor child = kShell;
    child.pid = 1'000 + i;
    bench.send(fork_sample(child, parent));
    parent = child;
  }
  bench.send(fork_sample({.pid = 5'000}, parent));
  bench.send(fork_sample({.pid = 5'001}, parent));
  bench.send(open_sample({.pid = 5'000}, some_open()));
  bench.send(open_sample({.pid = 5'001}, some_open()));
  const ProcessRef first = bench.records()[0].process;
  const ProcessRef second = bench.records()[1].process;
  EXPECT_EQ(first->parent, second->parent);
  EXPECT_EQ(first->parent->pid, parent.pid);
  EXPECT_EQ(first->parent->parent->pid, parent.pid - 1);
  EXPECT_EQ(first->depth, kMaxAncestorDepth / 2 + 1);
}

class FakeProcReader : public ProcReader {
 public:
  std::map<std::uint32_t, ProcFacts> processes;
  int asked = 0;
  std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t) override {
    ++asked;
    const auto found = processes.find(pid);
    if (found == processes.end()) return std::nullopt;
    return found->second;
  }
};

TEST(TrackerProcess, ProcTellsAboutUnknownProcesses) {
  auto reader = std::make_unique<FakeProcReader>();
  FakeProcReader& proc = *reader;
  proc.processes[200] = {
      .parent_pid = 100, .uid = 7, .exec_path = "/bin/there", .cwd = "/w", .argv = {"there"}};
  TrackerOptions options;
  options.proc_reader = std::move(reader);
  TrackerBench bench(std::move(options));
  bench.start_shell();
  bench.send(open_sample(kChild, some_open()));
  bench.send(open_sample(kChild, some_open()));
  const EventRecord& record = bench.records()[0];
  EXPECT_EQ(record.marks, kMarkUnknownProcess);
  EXPECT_EQ(record.process->exec_path(), "/bin/there");
  EXPECT_EQ(record.process->image->argv, (std::vector<std::string>{"there"}));
  EXPECT_EQ(record.process->uid, 7u);
  EXPECT_EQ(record.process->parent->exec_path(), "/bin/sh");
  EXPECT_EQ(proc.asked, 1);
  // One that has gone already is not counted as alive.
  bench.send(open_sample({.pid = 201}, some_open()));
  EXPECT_EQ(bench.tracker().activity(1).processes, 2u);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 3u);
}

TEST(TrackerProcess, RemovedJobsLeaveNothing) {
  TrackerBench bench;
  bench.start_shell();
  bench.tracker().remove_job(1);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 0u);
  bench.send(open_sample(kShell, some_open()));
  EXPECT_EQ(bench.records().size(), 0u);
  bench.tracker().register_job(1, 42, "/job");
  bench.send(open_sample(kShell, some_open()));
  EXPECT_FALSE(bench.records().at(0).process->image->is_known);
}

}  // namespace
}  // namespace cicd
