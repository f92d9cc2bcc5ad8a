// SPDX-License-Identifier: Apache-2.0
// Cgroups of a job, and tasks that leave them.
#include <gtest/gtest.h>

#include "track/cgroup_table.h"
#include "track/tracker_test_support.h"

namespace cicd {
namespace {

namespace f = field::cgroup_escape;

Actor in_cgroup(Actor actor, std::uint64_t cgroup_id) {
  actor.cgroup_id = cgroup_id;
  return actor;
}
OpenParts some_open() { return {.path = walked("/x")}; }

TEST(TrackerCgroup, EscapeNamesBothSides) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_MKDIR,
                           {.target_cgroup_id = 50, .from_cgroup_id = 42, .path = "/job/sub"}));
  EXPECT_EQ(bench.records().size(), 0u);
  bench.send(cgroup_sample(in_cgroup(kShell, 7), CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 7,
                            .from_cgroup_id = 50,
                            .path = "/elsewhere",
                            .flags = CICD_ATTACH_ESCAPE}));
  ASSERT_EQ(bench.records().size(), 1u);
  const EventRecord& record = bench.records()[0];
  EXPECT_EQ(record.type, EventType::kCgroupEscape);
  EXPECT_EQ(record.text(f::kFrom), "/job/sub");
  EXPECT_EQ(record.text(f::kTo), "/elsewhere");
  EXPECT_EQ(record.marks, kMarkEscaped);
  EXPECT_EQ(record.process->exec_path(), "/bin/sh");
  EXPECT_EQ(bench.tracker().activity(1).escaped, 1u);
}

TEST(TrackerCgroup, OneThatWasMadeBeforeItWasTheJobs) {
  const std::string id = "ea0191qh27w34vf4l85xpk1e5";
  TrackerBench bench;
  bench.tracker().register_job(2, 0, "");  // without a root
  bench.tracker().add_cgroup(2, 60, "/system.slice/system.slice:docker:" + id);
  bench.tracker().add_cgroup(3, 61, "/of/no/job");
  Actor step = in_cgroup(kShell, 60);
  step.slot = 2;
  bench.send(open_sample(step, some_open()));
  ASSERT_EQ(bench.records().size(), 1u);
  ASSERT_TRUE(bench.records()[0].container);
  EXPECT_EQ(bench.records()[0].container->id, id);
  EXPECT_EQ(bench.records()[0].container->runtime, "buildkit");
}

TEST(TrackerCgroup, UnknownPathsAreShownById) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 18'446'744'073'709'551'615u,
                            .from_cgroup_id = 42,
                            .flags = CICD_ATTACH_ESCAPE | CICD_ATTACH_CLONE}));
  EXPECT_EQ(bench.records()[0].text(f::kFrom), "/job");
  EXPECT_EQ(bench.records()[0].text(f::kTo), "cgroup id 18446744073709551615");
}

TEST(TrackerCgroup, EventsOutsideAreMarkedAndEarlierOnesNot) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(
      cgroup_sample(in_cgroup(kShell, 7), CICD_SAMPLE_CGROUP_ATTACH,
                    {.target_cgroup_id = 7, .from_cgroup_id = 42, .flags = CICD_ATTACH_ESCAPE}));
  bench.batch().reset();
  bench.send(open_sample(in_cgroup(kShell, 7), some_open()));
  bench.send(open_sample(in_cgroup(kShell, 42), some_open()));  // from before, late
  const Actor child = in_cgroup({.pid = 200}, 7);
  bench.send(fork_sample(child, in_cgroup(kShell, 7)));
  bench.send(connect_sample(child, {}));
  bench.send(open_sample(in_cgroup(child, 8), some_open()));  // moved on
  ASSERT_EQ(bench.records().size(), 4u);
  EXPECT_EQ(bench.records()[0].marks, kMarkEscaped);
  EXPECT_EQ(bench.records()[1].marks, 0);
  EXPECT_EQ(bench.records()[2].marks, kMarkEscaped);
  EXPECT_EQ(bench.records()[3].marks, kMarkEscaped);
}

TEST(TrackerCgroup, ComingBackEndsTheEscape) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(
      cgroup_sample(in_cgroup(kShell, 7), CICD_SAMPLE_CGROUP_ATTACH,
                    {.target_cgroup_id = 7, .from_cgroup_id = 42, .flags = CICD_ATTACH_ESCAPE}));
  bench.send(
      cgroup_sample(kShell, CICD_SAMPLE_CGROUP_ATTACH, {.target_cgroup_id = 42, .path = "/job"}));
  bench.batch().reset();
  // A cgroup that is not known is not taken for outside: its mkdir may have been lost.
  bench.send(open_sample(in_cgroup(kShell, 77), some_open()));
  EXPECT_EQ(bench.records()[0].marks, 0);
  EXPECT_EQ(bench.tracker().losses(1).total(), 0u);
}

TEST(TrackerCgroup, CloneIntoAnotherCgroup) {
  TrackerBench bench;
  bench.start_shell();
  const Actor child = in_cgroup({.pid = 200}, 7);
  bench.send(fork_sample(child, kShell));
  bench.send(cgroup_sample(child, CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 7,
                            .from_cgroup_id = 42,
                            .flags = CICD_ATTACH_ESCAPE | CICD_ATTACH_CLONE}));
  bench.send(open_sample(child, some_open()));
  ASSERT_EQ(bench.records().size(), 2u);
  EXPECT_EQ(bench.records()[0].process->pid, 200u);
  EXPECT_EQ(bench.records()[1].marks, kMarkEscaped);
  EXPECT_EQ(bench.tracker().activity(1).escaped, 1u);
}

TEST(TrackerCgroup, AProcessThatJoinsIsNoLoss) {
  TrackerBench bench;
  const Actor joiner{.pid = 300};
  bench.send(
      cgroup_sample(joiner, CICD_SAMPLE_CGROUP_ATTACH, {.target_cgroup_id = 42, .path = "/job"}));
  EXPECT_EQ(bench.tracker().activity(1).processes, 1u);
  EXPECT_EQ(bench.tracker().losses(1).total(), 0u);
  bench.send(open_sample(joiner, some_open()));
  EXPECT_EQ(bench.records()[0].marks, kMarkUnknownProcess);
}

TEST(TrackerCgroup, AProcessThatGoesToAnotherJobIsThatJobs) {
  TrackerBench bench;
  bench.tracker().register_job(2, 60, "/other");
  bench.start_shell();
  bench.send(cgroup_sample(in_cgroup(kShell, 60), CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 60,
                            .from_cgroup_id = 42,
                            .path = "/other",
                            .flags = CICD_ATTACH_ESCAPE}));
  Actor moved = in_cgroup(kShell, 60);
  moved.slot = 2;
  bench.send(cgroup_sample(moved, CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 60, .from_cgroup_id = 42, .path = "/other"}));
  EXPECT_EQ(bench.tracker().activity(1).processes, 0u);
  EXPECT_EQ(bench.tracker().activity(1).escaped, 1u);
  EXPECT_EQ(bench.tracker().activity(2).processes, 1u);
  bench.batch().reset();
  bench.send(open_sample(moved, some_open()));
  EXPECT_EQ(bench.records()[0].marks, 0);
}

TEST(TrackerCgroup, AnotherJobsProcessIsNoParent) {
  TrackerBench bench;
  bench.tracker().register_job(2, 60, "/other");
  bench.start_shell();
  Actor child = in_cgroup({.pid = 200}, 60);
  child.slot = 2;
  bench.send(fork_sample(child, kShell));
  bench.send(open_sample(child, some_open()));
  EXPECT_EQ(bench.records().at(0).process->parent, nullptr);
}

TEST(TrackerCgroup, RemovedCgroupsKeepTheirPathForSamplesUnderWay) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_MKDIR,
                           {.target_cgroup_id = 50, .from_cgroup_id = 42, .path = "/job/sub"}));
  bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_RMDIR,
                           {.target_cgroup_id = 50, .from_cgroup_id = 42, .path = "/job/sub"}));
  bench.send(cgroup_sample(
      kShell, CICD_SAMPLE_CGROUP_ATTACH,
      {.target_cgroup_id = 7, .from_cgroup_id = 50, .path = "/e", .flags = CICD_ATTACH_ESCAPE}));
  EXPECT_EQ(bench.records()[0].text(f::kFrom), "/job/sub");
}

TEST(TrackerCgroup, AFloodOfCgroupsIsBoundedAndCounted) {
  TrackerBench bench;
  bench.start_shell();
  for (std::uint64_t id = 1'000; id < 1'000 + CgroupTable::kMaxCgroups + 9; ++id) {
    bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_MKDIR, {.target_cgroup_id = id}));
  }
  EXPECT_EQ(bench.lost("cgroup", "table_full"), 10u);
  // Made and removed again: room for ever.
  TrackerBench other;
  for (std::uint64_t id = 1'000; id < 1'000 + 2 * CgroupTable::kMaxCgroups; ++id) {
    other.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_MKDIR, {.target_cgroup_id = id}));
    other.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_RMDIR, {.target_cgroup_id = id}));
  }
  EXPECT_EQ(other.lost("cgroup", "table_full"), 0u);
}

TEST(TrackerCgroup, RecordsNameTheContainerOfTheirCgroup) {
  const std::string id(64, 'a');
  TrackerBench bench;
  bench.start_shell();
  bench.send(
      cgroup_sample(kShell, CICD_SAMPLE_CGROUP_MKDIR,
                    {.target_cgroup_id = 50, .from_cgroup_id = 42, .path = "/docker/" + id}));
  bench.send(open_sample(kShell, some_open()));
  bench.send(open_sample(in_cgroup(kShell, 50), some_open()));
  bench.send(open_sample(in_cgroup(kShell, 50), some_open()));
  bench.send(open_sample(kShell, some_open()));
  bench.send(open_sample(in_cgroup(kShell, 51), some_open()));
  ASSERT_EQ(bench.records().size(), 5u);
  EXPECT_EQ(bench.records()[0].container, nullptr);
  ASSERT_NE(bench.records()[1].container, nullptr);
  EXPECT_EQ(bench.records()[1].container->id, id);
  EXPECT_EQ(bench.records()[1].container->runtime, "docker");
  EXPECT_EQ(bench.records()[2].container, bench.records()[1].container) << "made once a cgroup";
  EXPECT_EQ(bench.records()[3].container, nullptr);
  EXPECT_EQ(bench.records()[4].container, nullptr) << "a cgroup nobody knows";
}

TEST(CgroupTable, ContainerFollowsThePathAndTheSlot) {
  CgroupTable table;
  const std::string path = "/docker/" + std::string(64, 'b');
  EXPECT_EQ(table.container_of(5), nullptr);
  table.add(5, 1, "");
  EXPECT_EQ(table.container_of(5), nullptr);
  table.add(5, 1, path);
  ASSERT_NE(table.container_of(5), nullptr);
  table.remove(5);
  EXPECT_NE(table.container_of(5), nullptr) << "its id is still in samples under way";
  table.erase_slot(1);
  EXPECT_EQ(table.container_of(5), nullptr);
}

}  // namespace
}  // namespace cicd
