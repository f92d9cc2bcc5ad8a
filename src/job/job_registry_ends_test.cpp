// SPDX-License-Identifier: Apache-2.0
// Ends of jobs that take their time, and what waits for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <latch>

#include "base/bounded_queue.h"
#include "base/worker.h"
#include "job/job_registry_test_support.h"

namespace cicd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Ends of jobs that take as long as a test says.
class SlowEndTest : public JobRegistryTest {
 protected:
  SlowEndTest() {
    keeping_.is_end_slow = true;
    start("a", 100);
    end("a", 100);
  }
  // Starts a job when it may; notes what came of it as "KEY" or "KEY: why not".
  void start_when_possible(const std::string& key, pid_t peer) {
    registry_.when_startable(job(key), peer, [this, key, peer] {
      const std::string why = start(key, peer);
      starts_.push_back(why.empty() ? key : key + ": " + why);
    });
  }

  std::vector<std::string> starts_;
};

TEST_F(SlowEndTest, DelaysNoOtherJobAndKeepsItsSlotMeanwhile) {
  EXPECT_EQ(done_, 0);
  EXPECT_THAT(registry_.jobs(), IsEmpty());
  start_when_possible("b", 200);
  EXPECT_THAT(starts_, ElementsAre("b"));
  EXPECT_EQ(keeping_.calls.back(), "begin 2 b");
  keeping_.end_next();
  EXPECT_EQ(done_, 1);
  start_when_possible("c", 300);
  EXPECT_EQ(keeping_.calls.back(), "begin 1 c") << "the slot is free again";
}

TEST_F(SlowEndTest, IsWaitedForByTheNextJobOfThatNameOrProcess) {
  EXPECT_THAT(start("a", 300), HasSubstr("still being written"));
  EXPECT_THAT(start("b", 100), HasSubstr("still being ended"));
  EXPECT_EQ(registry_.start({job("a"), {}}, {300, 0}).error().kind, Refusal::Kind::kBusy);
  EXPECT_EQ(registry_.register_job({job("a"), {}}).error().kind, Refusal::Kind::kBusy);
  start_when_possible("a", 300);
  start_when_possible("b", 100);
  EXPECT_THAT(starts_, IsEmpty());
  keeping_.end_next();
  EXPECT_THAT(starts_, ElementsAre("a", "b"));
  EXPECT_EQ(done_, 1);
}

TEST_F(SlowEndTest, IsWaitedForByNobodyForever) {
  start_when_possible("a", 300);
  now_ += options_.end_patience - 1ms;
  registry_.look_after();
  EXPECT_THAT(starts_, IsEmpty());
  now_ += 1ms;
  registry_.look_after();
  EXPECT_THAT(starts_, ElementsAre(HasSubstr("a: the results of the job that had this name")));
  keeping_.end_next();
  EXPECT_EQ(starts_.size(), 1u) << "once is enough";
}

TEST_F(SlowEndTest, IsWaitedForWhereAllSlotsAreTaken) {
  for (const pid_t peer : {200, 300, 400, 500}) {
    start_when_possible("job" + std::to_string(peer), peer);
  }
  EXPECT_THAT(starts_, ElementsAre("job200", "job300"));
  EXPECT_THAT(start("x", 600), HasSubstr("watches 3 jobs"));
  keeping_.end_next();
  EXPECT_THAT(starts_, ElementsAre("job200", "job300", "job400",
                                   HasSubstr("job500: this agent watches 3 jobs")))
      << "nothing more will end by itself";
}

TEST_F(SlowEndTest, ConcernsNoJobThatRuns) {
  start("b", 200);
  bool is_called = false;
  registry_.when_startable(job("b"), 100, [&] { is_called = true; });
  EXPECT_TRUE(is_called) << "a project of a job that is there";
  EXPECT_EQ(registry_.job_of(100), "");
  EXPECT_EQ(health("a", 100), "job not found");
  EXPECT_FALSE(registry_.stage("c", 100, {}).value());
}

// The threads of an agent: one for the registry, others for ends.
TEST(JobRegistryThreadsTest, AnEndThatBlocksBlocksNobodyElse) {
  // Before the threads, which still use them when the test has seen all it wants.
  std::promise<void> other_started, other_ended, same_started;
  std::atomic<bool> is_first_over = false;
  class Blocking final : public Keeping {
   public:
    std::uint32_t slot_of(pid_t pid) const override {
      return pid == 100 ? slot_of_first.load() : 0;
    }
    Result<void> begin(std::uint32_t slot, const JobDescription&,
                       const std::optional<JobPeer>& peer) override {
      if (peer->pid == 100) slot_of_first = slot;
      return {};
    }
    bool has_scope(std::uint32_t, ScopeKind) const override { return true; }
    void end(std::uint32_t slot, const std::string&, std::function<void()> done) override {
      closers[slot].start("closer", [this, slot, done = std::move(done)] {
        if (slot == 1) output.wait();
        if (slot == 1) slot_of_first = 0;
        done();
      });
    }
    std::latch output{1};
    std::atomic<std::uint32_t> slot_of_first = 0;
    std::array<Worker, 4> closers;
  } keeping;
  using Calls = BoundedQueue<std::function<void()>>;
  const auto calls = std::make_shared<Calls>(64);
  JobRegistry registry(keeping, {.slots = 4},
                       [calls](std::function<void()> task) { calls->push(std::move(task), 0); });
  Worker thread;
  thread.start("registry", [&] {
    while (auto call = calls->pop()) (*call)();
  });
  const auto post = [&](std::function<void()> call) { calls->push(std::move(call), 0); };
  post([&] { registry.start({job("a"), {}}, {100, 0}); });
  post([&] { registry.end(job("a"), 100, [&] { is_first_over = true; }); });
  post([&] {
    registry.when_startable(job("a"), 100, [&] {
      EXPECT_EQ(keeping.slot_of_first, 0u);
      EXPECT_TRUE(registry.start({job("a"), {}}, {100, 0}));
      same_started.set_value();
    });
  });
  post([&] {
    registry.when_startable(job("b"), 200, [&] {
      EXPECT_TRUE(registry.start({job("b"), {}}, {200, 0}));
      other_started.set_value();
    });
  });
  EXPECT_EQ(other_started.get_future().wait_for(10s), std::future_status::ready);
  post([&] { registry.end_all("shutdown", [&] { other_ended.set_value(); }); });
  EXPECT_EQ(other_ended.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_FALSE(is_first_over);
  keeping.output.count_down();
  EXPECT_EQ(same_started.get_future().wait_for(10s), std::future_status::ready);
  calls->close();
}

}  // namespace
}  // namespace cicd
