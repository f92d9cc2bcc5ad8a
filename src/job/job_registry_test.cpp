// SPDX-License-Identifier: Apache-2.0
#include "job/job_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job/job_registry_test_support.h"

namespace cicd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(JobRegistryTest, AJobFromItsStartToItsEnd) {
  EXPECT_EQ(start("a", 100), "");
  EXPECT_EQ(health("a", 100), "");
  EXPECT_EQ(end("a", 100), "");
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(health("a", 100), "job not found") << "so that the completed hook fails";
  EXPECT_EQ(end("a", 100), "") << "an unknown job has ended";
  EXPECT_EQ(done_, 2);
  EXPECT_THAT(keeping_.calls, ElementsAre("begin 1 a", "end 1 host_end"));
}

TEST_F(JobRegistryTest, OnlyWhoIsInTheJobMayEndItAndAskForIt) {
  start("a", 100);
  start("b", 200);
  for (const pid_t stranger : {200, 300, 0, -1}) {
    EXPECT_EQ(end("a", stranger), "peer not in job tracking set");
    EXPECT_EQ(health("a", stranger), "peer not in job tracking set");
  }
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(registry_.jobs().size(), 2u);
}

TEST_F(JobRegistryTest, OneJobAnIdentityAndOneJobAProcess) {
  EXPECT_EQ(start("a", 100), "");
  EXPECT_EQ(start("a", 300), "job already registered");
  EXPECT_EQ(start("b", 100), "the process that asked already belongs to another job");
  EXPECT_THAT(keeping_.calls, ElementsAre("begin 1 a"));
}

TEST_F(JobRegistryTest, WhatCannotBeginLeavesNothing) {
  keeping_.failure = "no cgroup";
  EXPECT_EQ(start("a", 100), "no cgroup (a hint)");
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  keeping_.failure.clear();
  EXPECT_EQ(start("a", 100), "");
  EXPECT_THAT(keeping_.calls, ElementsAre("begin 1 a", "begin 1 a"));
}

TEST_F(JobRegistryTest, AProjectJoinsItsJobOnce) {
  start("a", 100);
  const auto project = [&](const std::string& key, pid_t peer) {
    const auto started =
        registry_.start_project({job(key), {}}, {peer, 0}, {.monitor_mode = true}, {});
    return started ? "" : started.error().message;
  };
  EXPECT_EQ(project("b", 100), "job not found");
  EXPECT_EQ(project("a", 300), "peer not in job tracking set");
  EXPECT_FALSE(registry_.check_health(job("a"), 100)->has_project);
  keeping_.failure = "a bad rule";
  EXPECT_EQ(project("a", 100), "a bad rule");
  EXPECT_EQ(registry_.start_project({job("a"), {}}, {100, 0}, {}, {}).error().kind,
            Refusal::Kind::kInvalid);
  keeping_.failure.clear();
  EXPECT_EQ(project("a", 100), "");
  EXPECT_TRUE(registry_.check_health(job("a"), 100)->has_project);
  EXPECT_EQ(project("a", 100), "project scope already set");
}

TEST_F(JobRegistryTest, AResultIsOfTheProjectOrWhenAskedOfTheHost) {
  const auto result = [&](const std::string& key, pid_t peer, bool or_host) {
    std::string document;
    const auto written = registry_.write_result(
        job(key), peer, or_host, [&](const auto& answer) { document = answer.value(); });
    return written ? document : written.error().message;
  };
  EXPECT_EQ(result("a", 100, true), "job not found");
  start("a", 100);
  EXPECT_EQ(result("a", 300, true), "peer not in job tracking set");
  EXPECT_EQ(result("a", 100, false), "job has no project scope");
  EXPECT_EQ(result("a", 100, true), "host of 1");
  ASSERT_TRUE(registry_.start_project({job("a"), {}}, {100, 0}, {}, {}));
  EXPECT_EQ(result("a", 100, false), "project of 1");
  EXPECT_EQ(result("a", 100, true), "project of 1");
}

class HostedRegistryTest : public JobRegistryTest {
 protected:
  std::string project(const std::string& key, pid_t peer) {
    const auto started =
        hosted_.start_project({job(key), {.ref_name = " main"}}, {peer, 0}, {}, {});
    return started ? "" : started.error().message;
  }
  JobRegistry hosted_{
      keeping_, {.slots = 4, .is_hosted = true}, run_at_once, [this] { return now_; }};
};

TEST_F(HostedRegistryTest, AProjectStartsAJobThatTheHostHasNot) {
  EXPECT_EQ(project("a", 100), "");
  const auto health = hosted_.check_health(job("a"), 100);
  ASSERT_TRUE(health);
  EXPECT_FALSE(health->has_host);
  EXPECT_TRUE(health->has_project);
  EXPECT_EQ(project("a", 100), "project scope already set");
  EXPECT_EQ(project("a", 300), "peer not in job tracking set");
  EXPECT_EQ(project("b", 100), "the process that asked already belongs to another job");
  const auto start = hosted_.start({job("a"), {}}, {100, 0});
  ASSERT_FALSE(start);
  EXPECT_EQ(start.error().kind, Refusal::Kind::kConflict);
  EXPECT_EQ(start.error().message, "host start must happen before project start");
  const auto end = hosted_.end(job("a"), 100, [this] { ++done_; });
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind, Refusal::Kind::kConflict);
  EXPECT_EQ(end.error().message, "job has no host scope");
  EXPECT_EQ(hosted_.end(job("a"), 300, [] {}).error().kind, Refusal::Kind::kForbidden);
  EXPECT_EQ(done_, 0);
  keeping_.alive[1] = false;
  now_ += 10s;
  hosted_.look_after();
  EXPECT_THAT(keeping_.calls, ElementsAre("begin_project 1 a main", "end 1 cgroup_rmdir"));
}

TEST_F(HostedRegistryTest, AProjectThatCannotBeginLeavesNothing) {
  keeping_.failure = "a bad rule";
  const auto started = hosted_.start_project({job("a"), {}}, {100, 0}, {}, {});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, Refusal::Kind::kInvalid);
  EXPECT_THAT(hosted_.jobs(), IsEmpty());
  keeping_.failure.clear();
  EXPECT_EQ(project("a", 100), "");
}

TEST_F(HostedRegistryTest, AJobOfTheHostGetsItsProjectAsElsewhere) {
  ASSERT_TRUE(hosted_.start({job("a"), {}}, {100, 0}));
  EXPECT_EQ(project("a", 300), "peer not in job tracking set");
  EXPECT_EQ(project("a", 100), "");
  EXPECT_TRUE(hosted_.end(job("a"), 100, [this] { ++done_; }));
  EXPECT_EQ(done_, 1);
  EXPECT_THAT(keeping_.calls, ElementsAre("begin 1 a", "project 1", "end 1 host_end"));
}

TEST_F(JobRegistryTest, AContainerBelongsToTheJobOfWhoStartsIt) {
  start("a", 100);
  start("b", 200);
  EXPECT_TRUE(registry_.stage("docker-1.scope", 200, {}).value());
  EXPECT_FALSE(registry_.stage("docker-2.scope", 300, {}).value()) << "nobody's";
  keeping_.slots[400] = 3;
  EXPECT_FALSE(registry_.stage("docker-3.scope", 400, {}).value()) << "of a job that has ended";
  keeping_.failure = "no name";
  EXPECT_EQ(registry_.stage("x/y", 100, {}).error().kind, Refusal::Kind::kInvalid);
  EXPECT_THAT(keeping_.calls,
              ElementsAre("begin 1 a", "begin 2 b", "stage 2 docker-1.scope", "stage 1 x/y"));
}

// "", "ignored", or why not.
class ContainerJobsTest : public JobRegistryTest {
 protected:
  std::string stage(const std::string& basename, const std::string& key, pid_t client = 0) {
    const auto staged = registry_.stage(basename, client, JobDescription{job(key), {}});
    if (!staged) return staged.error().message;
    return *staged ? "" : "ignored";
  }
  void pass(std::chrono::seconds time) {
    for (; time > 0s; time -= 1s) {
      now_ += 1s;
      registry_.look_after();
    }
  }
};

TEST_F(ContainerJobsTest, AreRegisteredByName) {
  EXPECT_TRUE(registry_.register_job({job("a"), {.ref_name = "main"}}));
  EXPECT_TRUE(registry_.register_job({job("a"), {}})) << "once more is no mistake";
  EXPECT_EQ(stage("c1", "a"), "");
  EXPECT_EQ(stage("c2", "b"), "") << "made when its first container shows up";
  EXPECT_EQ(stage("c3", "b"), "");
  EXPECT_THAT(keeping_.calls, ElementsAre("register 1 amain", "stage 1 c1", "register 2 b",
                                          "stage 2 c2", "stage 2 c3"));
  EXPECT_EQ(start("a", 100), "job already registered");
}

TEST_F(ContainerJobsTest, AJobCannotPutContainersIntoAnother) {
  stage("c1", "a");
  stage("c2", "b");
  keeping_.slots[100] = 2;
  EXPECT_EQ(stage("c3", "a", 100), "");
  EXPECT_EQ(keeping_.calls.back(), "stage 2 c3") << "of the one that asked";
  EXPECT_EQ(stage("c4", "new", 100), "");
  EXPECT_EQ(keeping_.calls.back(), "stage 2 c4");
  EXPECT_EQ(registry_.jobs().size(), 2u);
}

TEST_F(ContainerJobsTest, WaitForTheirFirstContainerAndThenLiveByThem) {
  registry_.register_job({job("a"), {}});
  pass(599s);
  EXPECT_EQ(registry_.jobs().size(), 1u);
  stage("c1", "a");
  pass(599s);
  keeping_.alive[1] = true;
  pass(100s);
  keeping_.alive[1] = false;
  pass(9s);
  stage("c2", "a");  // the next one is announced
  pass(60s);
  keeping_.alive[1] = true;
  pass(1s);
  keeping_.alive[1] = false;
  pass(9s);
  EXPECT_EQ(registry_.jobs().size(), 1u);
  pass(1s);
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  EXPECT_EQ(keeping_.calls.back(), "end 1 cgroup_rmdir");
  EXPECT_EQ(stage("c3", "a"), "") << "and comes back";
}

TEST_F(ContainerJobsTest, AContainerCanBeTooShortToBeSeenAlive) {
  keeping_.acts_of[1] = 7;  // of the one before it
  stage("c1", "a");
  pass(60s);
  EXPECT_EQ(registry_.jobs().size(), 1u) << "it has not come";
  keeping_.acts_of[1] = 8;
  pass(10s);
  EXPECT_EQ(registry_.jobs().size(), 1u);
  pass(1s);
  EXPECT_EQ(keeping_.calls.back(), "end 1 cgroup_rmdir");
}

TEST_F(ContainerJobsTest, ThatNobodyComesForAreOver) {
  registry_.register_job({job("a"), {}});
  pass(600s);
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  EXPECT_EQ(keeping_.calls.back(), "end 1 ttl");
}

TEST_F(ContainerJobsTest, WhatCannotBeStagedLeavesNothing) {
  for (const char* key : {"a", "b", "c"}) EXPECT_EQ(stage("x", key), "");
  EXPECT_THAT(stage("x", "d"), HasSubstr("watches 3 jobs"));
  keeping_.failure = "no room";
  EXPECT_EQ(stage("x", "a"), "no room");
  EXPECT_EQ(registry_.jobs().size(), 3u);
  pass(600s);
  EXPECT_EQ(stage("x", "d"), "no room (a hint)");
  keeping_.failure.clear();
  keeping_.stage_failure = "no name";
  EXPECT_EQ(stage("x", "d"), "no name");
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  EXPECT_EQ(keeping_.calls.back(), "end 1 error");
}

TEST_F(JobRegistryTest, KnowsTheJobOfAProcess) {
  start("a", 100);
  const std::string key = identity_key(job("a"));
  EXPECT_EQ(registry_.job_of(100), key);
  EXPECT_EQ(registry_.slot_of_job(key), 1u);
  keeping_.slots[300] = 2;
  EXPECT_EQ(registry_.job_of(300), "");
  EXPECT_EQ(registry_.job_of(0), "");
  end("a", 100);
  EXPECT_EQ(registry_.slot_of_job(key), 0u);
}

TEST_F(JobRegistryTest, SlotsAreUsedAgain) {
  EXPECT_EQ(start("a", 100), "");
  EXPECT_EQ(start("b", 200), "");
  EXPECT_EQ(start("c", 300), "");
  EXPECT_THAT(start("d", 400), HasSubstr("watches 3 jobs"));
  EXPECT_EQ(end("b", 200), "");
  EXPECT_EQ(start("d", 400), "");
  EXPECT_EQ(keeping_.calls.back(), "begin 2 d");
}

TEST_F(JobRegistryTest, AJobWithoutProcessesEndsAfterTheGrace) {
  start("a", 100);
  keeping_.alive[1] = false;
  now_ += 9s;
  registry_.look_after();
  keeping_.alive[1] = true;  // the next step has begun
  registry_.look_after();
  keeping_.alive[1] = false;
  now_ += 9s;
  registry_.look_after();
  EXPECT_EQ(registry_.jobs().size(), 1u);
  now_ += 1s;
  registry_.look_after();
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  EXPECT_EQ(keeping_.calls.back(), "end 1 cgroup_rmdir");
}

TEST_F(JobRegistryTest, TooOldAndEndedByARuleAndAll) {
  start("a", 100);
  start("b", 200);
  keeping_.terminated[2] = true;
  registry_.look_after();
  EXPECT_EQ(keeping_.calls.back(), "end 2 terminate");
  now_ += 1h;
  registry_.look_after();
  EXPECT_EQ(keeping_.calls.back(), "end 1 ttl");
  start("c", 300);
  start("d", 400);
  registry_.end_all("shutdown", [this] { ++done_; });
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(keeping_.calls.back(), "end 2 shutdown");
  EXPECT_THAT(registry_.jobs(), IsEmpty());
}

}  // namespace
}  // namespace cicd
