// SPDX-License-Identifier: Apache-2.0
#include "job/build_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Job "a" has slot 1 and process 100, "b" 2 and 200.
class Keeping final : public BuildKeeping {
 public:
  std::string job_of(pid_t pid) const override { return pid == 100 ? "a" : pid == 200 ? "b" : ""; }
  std::uint32_t slot_of_job(const std::string& key) const override {
    const auto found = slots.find(key);
    return found == slots.end() ? 0 : found->second;
  }
  Result<void> give_steps_to(std::uint32_t slot) override {
    const std::string call = "give " + std::to_string(slot);
    if (calls.empty() || calls.back() != call) calls.push_back(call);
    if (slot != 0 && !failure.empty()) return fail(ErrorCode::kIo, failure);
    return {};
  }
  void add_problem(std::uint32_t slot, const std::string& problem) override {
    problems.push_back(std::to_string(slot) + " " + problem);
  }

  std::map<std::string, std::uint32_t> slots{{"a", 1}, {"b", 2}};
  std::vector<std::string> calls, problems;
  std::string failure;
};

class BuildWatchTest : public testing::Test {
 protected:
  void put(const std::vector<Build>& builds) {
    watch_.put(builds, [this] { return is_told_; });
  }
  void pass(std::chrono::milliseconds time) {
    now_ += time;
    watch_.look_after();
  }

  Keeping keeping_;
  BuildWatch::Clock::time_point now_{};
  BuildWatch watch_{keeping_, [this] { return now_; }};
  bool is_told_ = true;
};

TEST_F(BuildWatchTest, TheStepsAreOfTheOnlyOneThatBuilds) {
  put({{"1", 100}});
  EXPECT_EQ(watch_.owner(), "a");
  put({{"1", 100}, {"2", 100}});
  put({{"2", 100}});
  pass(10s);
  EXPECT_THAT(keeping_.calls, ElementsAre("give 1"));
  put({});
  pass(1s);
  EXPECT_EQ(watch_.owner(), "a") << "dockerd may be starting one still";
  pass(1s);
  EXPECT_EQ(watch_.owner(), "");
  EXPECT_THAT(keeping_.calls, ElementsAre("give 1", "give 0"));
  EXPECT_THAT(keeping_.problems, IsEmpty());
}

TEST_F(BuildWatchTest, OfTwoNobodyIsGivenAny) {
  put({{"1", 100}});
  put({{"1", 100}, {"2", 200}});
  EXPECT_EQ(watch_.owner(), "");
  pass(10s);
  put({{"1", 100}, {"2", 200}, {"3", 100}});
  EXPECT_THAT(keeping_.calls, ElementsAre("give 1", "give 0"));
  ASSERT_EQ(keeping_.problems.size(), 3u);
  EXPECT_THAT(keeping_.problems[0], HasSubstr("1 steps of docker build are missing"));
  EXPECT_THAT(keeping_.problems[1], HasSubstr("2 steps of docker build are missing"));
  put({{"2", 200}});
  EXPECT_EQ(watch_.owner(), "") << "a step of the one that ended may be under way";
  pass(2s);
  EXPECT_EQ(watch_.owner(), "b");
  EXPECT_THAT(keeping_.calls, ElementsAre("give 1", "give 0", "give 2"));
}

TEST_F(BuildWatchTest, ABuildOfNobodyCountsToo) {
  put({{"1", 300}});
  EXPECT_THAT(keeping_.calls, IsEmpty());
  put({{"1", 300}, {"2", 100}});
  EXPECT_EQ(watch_.owner(), "");
  ASSERT_EQ(keeping_.problems.size(), 1u);
  put({{"2", 100}});
  pass(2s);
  EXPECT_EQ(watch_.owner(), "a");
}

TEST_F(BuildWatchTest, OneAfterTheOther) {
  put({{"1", 100}});
  put({});
  now_ += 1s;
  put({{"2", 200}});
  EXPECT_EQ(watch_.owner(), "");
  EXPECT_EQ(keeping_.problems.size(), 1u) << "of the one whose first steps may be missing";
  pass(1s);
  EXPECT_EQ(watch_.owner(), "b");
}

TEST_F(BuildWatchTest, AJobThatIsOverHasNoSteps) {
  put({{"1", 100}});
  keeping_.slots = {{"b", 1}};  // the slot is another one's
  pass(1s);
  EXPECT_EQ(watch_.owner(), "");
  EXPECT_EQ(keeping_.calls.back(), "give 0");
  put({{"1", 100}, {"2", 200}});
  EXPECT_EQ(watch_.owner(), "") << "its build goes on";
}

TEST_F(BuildWatchTest, AProxyThatIsGoneHasNoBuilds) {
  put({{"1", 100}});
  is_told_ = false;
  pass(1s);
  EXPECT_EQ(watch_.owner(), "a");
  pass(2s);
  EXPECT_EQ(watch_.owner(), "");
}

TEST_F(BuildWatchTest, WhatCannotBeGivenIsSaidOnce) {
  keeping_.failure = "the cgroup is in use";
  put({{"1", 100}});
  pass(1s);
  EXPECT_EQ(watch_.owner(), "");
  EXPECT_THAT(keeping_.problems,
              ElementsAre("1 steps of docker build are missing: the cgroup is in use"));
}

}  // namespace
}  // namespace cicd
