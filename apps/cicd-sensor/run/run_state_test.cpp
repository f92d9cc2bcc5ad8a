// SPDX-License-Identifier: Apache-2.0
#include "run/run_state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

namespace cicd {
namespace {

namespace fs = std::filesystem;

class RunStateTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cicd-state-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    states_ = folder_ + "/a/runs";
    names_.id = "12-deadbeef";
    names_.cgroup_dir = folder_ + "/cicd-sensor-run-12-deadbeef";  // no cgroup: left alone
    names_.parent_dir = folder_;
    names_.journal = folder_ + "/.cicd-sensor-12-deadbeef.journal";
    std::ofstream(names_.journal) << "x";
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Publishes a state and dies, as a killed run does.
  void leave_a_dead_run() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto state = RunState::prepare(states_, names_);
      ::_exit(state && state->publish() ? 0 : 1);
    }
    int status = 1;
    ::waitpid(pid, &status, 0);
    ASSERT_EQ(status, 0);
  }

  std::string folder_;
  std::string states_;
  RunNames names_;
};

TEST_F(RunStateTest, HasNoNameUntilItIsPublished) {
  auto state = RunState::prepare(states_, names_).value();
  EXPECT_TRUE(fs::is_empty(states_));
  struct stat info{};
  ASSERT_EQ(::stat(states_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_TRUE(state.publish());
  EXPECT_TRUE(fs::exists(states_ + "/" + names_.id));
  state.remove();
  state.remove();
  EXPECT_TRUE(fs::is_empty(states_));
}

TEST_F(RunStateTest, ARunThatLivesIsLeftAlone) {
  auto state = RunState::prepare(states_, names_).value();
  ASSERT_TRUE(state.publish());
  EXPECT_TRUE(clean_dead_runs(states_).empty());
  EXPECT_TRUE(fs::exists(names_.journal));
}

TEST_F(RunStateTest, OneOfTwoProcessesIsEnough) {
  auto state = RunState::prepare(states_, names_).value();
  ASSERT_TRUE(state.publish());
  const pid_t other = ::fork();
  if (other == 0) {
    ::pause();
    ::_exit(0);
  }
  {
    const RunState gone = std::move(state);
  }
  EXPECT_TRUE(clean_dead_runs(states_).empty());
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  EXPECT_EQ(clean_dead_runs(states_).size(), 1u);
}

TEST_F(RunStateTest, WhatADeadRunLeftIsRemoved) {
  leave_a_dead_run();
  const auto cleaned = clean_dead_runs(states_);
  ASSERT_EQ(cleaned.size(), 1u);
  EXPECT_EQ(cleaned[0].id, names_.id);
  EXPECT_FALSE(cleaned[0].is_populated);
  EXPECT_EQ(cleaned[0].output_dir, folder_ + "/");
  EXPECT_FALSE(fs::exists(names_.journal));
  EXPECT_TRUE(fs::is_empty(states_));
  EXPECT_TRUE(clean_dead_runs(states_).empty());
}

TEST_F(RunStateTest, ADeadRunIsFinishedWithWhatItWasStartedWith) {
  names_.cgroup_path = "/p/cicd-sensor-run-12-deadbeef";
  names_.recipe = {{"run", "--", "sh", "-c", "a\nb\\n \\", ""}, "/srv/my folder", "1", "2", 77};
  JobDescription job;
  job.identity = {.provider = "gitlab", .provider_host = "h", .project_path = "a b/\\c\n"};
  job.metadata.job_link = "https://h/j";
  names_.recipe.ci_job = job;
  leave_a_dead_run();
  RunNames seen;
  const auto cleaned = clean_dead_runs(states_, [&](const RunNames& names) {
    EXPECT_TRUE(fs::exists(names.journal)) << "too late";
    seen = names;
    return true;
  });
  ASSERT_EQ(cleaned.size(), 1u);
  EXPECT_TRUE(cleaned[0].is_finished);
  EXPECT_EQ(seen.recipe.arguments, names_.recipe.arguments);
  EXPECT_EQ(seen.recipe.folder, names_.recipe.folder);
  EXPECT_EQ(seen.recipe.owner_uid, "1");
  EXPECT_EQ(seen.recipe.owner_gid, "2");
  EXPECT_EQ(seen.recipe.start_time_ns, 77u);
  ASSERT_TRUE(seen.recipe.ci_job);
  EXPECT_EQ(seen.recipe.ci_job->identity, job.identity);
  EXPECT_EQ(seen.recipe.ci_job->metadata.job_link, "https://h/j");
  EXPECT_EQ(seen.cgroup_path, names_.cgroup_path);
  EXPECT_FALSE(fs::exists(names_.journal));
}

TEST_F(RunStateTest, ARunWhoseCommandLineIsTooLongIsOnlyCleaned) {
  names_.recipe.arguments = {"run", std::string(100'000, 'x')};
  leave_a_dead_run();
  const auto cleaned = clean_dead_runs(states_, [](const RunNames&) {
    ADD_FAILURE() << "half of a command line";
    return true;
  });
  ASSERT_EQ(cleaned.size(), 1u);
  EXPECT_FALSE(cleaned[0].is_finished);
  EXPECT_FALSE(fs::exists(names_.journal));
}

TEST_F(RunStateTest, ARecordingOfTheUsersIsKept) {
  names_.keeps_journal = true;
  leave_a_dead_run();
  EXPECT_EQ(clean_dead_runs(states_).size(), 1u);
  EXPECT_TRUE(fs::exists(names_.journal));
}

TEST_F(RunStateTest, OnlyNamesOfOursAreEverRemoved) {
  names_.journal = folder_ + "/precious";
  std::ofstream(names_.journal) << "x";
  leave_a_dead_run();
  EXPECT_EQ(clean_dead_runs(states_).size(), 1u);
  EXPECT_TRUE(fs::exists(names_.journal));
}

TEST_F(RunStateTest, AFolderThatOthersMayWriteIsNotBelieved) {
  leave_a_dead_run();
  fs::permissions(states_, fs::perms::all);
  EXPECT_TRUE(clean_dead_runs(states_).empty());
  EXPECT_TRUE(fs::exists(names_.journal));
  EXPECT_TRUE(clean_dead_runs(folder_ + "/none").empty());
}

TEST_F(RunStateTest, NamesWithNewlinesAreRefused) {
  names_.journal += "\nid other";
  const auto state = RunState::prepare(states_, names_);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace cicd
