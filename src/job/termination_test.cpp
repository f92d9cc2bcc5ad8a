// SPDX-License-Identifier: Apache-2.0
// The plan from pure data; the hunt with real processes in a cgroup made here, by what the tests
// say is tracked. Jobs whose processes the kernel side tracks are ended in tests/e2e/run.
#include "job/termination.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::uint64_t start_time_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  stat >> word >> word;  // the name of these tests' children holds no blank
  for (int field = 3; field <= 22; ++field) stat >> word;
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return std::stoull(word) * (1'000'000'000 / ticks_per_second);
}

// A child that ignores what it can, in the cgroup at `dir`; killed and reaped at the end.
class Child {
 public:
  explicit Child(const std::string& dir = {}) {
    int up[2];
    EXPECT_EQ(::pipe(up), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      for (int signal = 1; signal < 32; ++signal) ::signal(signal, SIG_IGN);
      if (!dir.empty()) std::ofstream(dir + "/cgroup.procs") << ::getpid();
      if (::write(up[1], "x", 1) != 1) ::_exit(1);
      ::alarm(60);
      for (;;) ::pause();
    }
    char byte = 0;
    EXPECT_EQ(::read(up[0], &byte, 1), 1);
    ::close(up[0]);
    ::close(up[1]);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    if (!is_reaped_) ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  TrackedProcess tracked() const { return {static_cast<std::uint32_t>(pid_), start_time_of(pid_)}; }
  bool was_killed() {
    int status = 0;
    if (!is_reaped_ && ::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    is_reaped_ = true;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

 private:
  pid_t pid_ = -1;
  bool is_reaped_ = false;
};

class TerminationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    const auto place = find_own_cgroup();
    if (!place) GTEST_SKIP() << "needs cgroup v2";
    const std::string name = "cicd-termination-test-" + std::to_string(::getpid());
    auto made = JobCgroup::create(*place, name);
    if (!made) GTEST_SKIP() << made.error().text;
    dir_ = made->dir();
    target_ = std::make_unique<TerminationTarget>(std::move(*made));
    target_->cgroup_path = (place->path == "/" ? "" : place->path) + "/" + name;
    target_->refuge_dir = place->dir;
    target_->own = {::getpid()};
    target_->tracked = [this] { return tracked_; };
  }
  void TearDown() override {
    if (dir_.empty()) return;
    const auto group = JobCgroup::open(dir_);
    ASSERT_TRUE(group);
    EXPECT_TRUE(group->remove());
  }
  TerminationReport terminate() {
    Terminator terminator(std::move(*target_));
    EXPECT_TRUE(terminator.strike());
    EXPECT_FALSE(terminator.strike()) << "once is enough";
    terminator.wait();
    return terminator.report();
  }

  std::string dir_;
  std::unique_ptr<TerminationTarget> target_;
  std::vector<TrackedProcess> tracked_;
};

TEST_F(TerminationTest, PlanForACgroupOfTheJobAlone) {
  target_->own = {5};
  const auto plan = plan_termination({0, 10, 11}, {{10, 1}, {30, 2}}, *target_);
  EXPECT_TRUE(plan.kills_cgroup);
  EXPECT_THAT(plan.inside, ElementsAre(10, 11));
  EXPECT_THAT(plan.escaped, ElementsAre(TrackedProcess{30, 2}));
}

TEST_F(TerminationTest, PlanSparesTheSensorItself) {
  target_->own = {5, 6};
  const auto plan = plan_termination({5, 10}, {{5, 1}, {6, 2}, {10, 3}}, *target_);
  EXPECT_FALSE(plan.kills_cgroup);
  EXPECT_THAT(plan.inside, ElementsAre(10));
  EXPECT_THAT(plan.escaped, IsEmpty());
}

TEST_F(TerminationTest, PlanForASharedCgroup) {
  target_->own = {};
  target_->is_made_for_job = false;
  auto plan = plan_termination({10, 11}, {{10, 1}}, *target_);
  EXPECT_FALSE(plan.kills_cgroup);
  EXPECT_THAT(plan.inside, ElementsAre(10));
  plan = plan_termination({10, 11}, {{11, 2}, {10, 1}}, *target_);
  EXPECT_TRUE(plan.kills_cgroup) << "nobody else is in it";
}

TEST_F(TerminationTest, APidThatWasGivenAwayIsNotHit) {
  Child child;
  TrackedProcess other = child.tracked();
  other.start_time_ns -= 1'000'000'000;
  EXPECT_FALSE(kill_tracked(other));
  EXPECT_FALSE(kill_tracked({other.pid, 0})) << "a start that is not known proves nothing";
  ::usleep(20'000);
  EXPECT_FALSE(child.was_killed());
  EXPECT_TRUE(kill_tracked(child.tracked()));
  ::usleep(20'000);
  EXPECT_TRUE(child.was_killed());
}

TEST_F(TerminationTest, EndsWhatIsInTheCgroupAndWhatLeftIt) {
  Child inside(dir_);
  Child escaped;
  Child foreign;
  tracked_ = {inside.tracked(), escaped.tracked()};
  const TerminationReport report = terminate();
  EXPECT_TRUE(inside.was_killed());
  EXPECT_TRUE(escaped.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_EQ(report.processes, 1u);
  EXPECT_EQ(report.escaped, 1u);
  EXPECT_EQ(report.left, 0u);
}

class ContainersTest : public TerminationTest {
 protected:
  void SetUp() override {
    TerminationTest::SetUp();
    if (dir_.empty()) return;
    for (const char* name : {"first", "second"}) ::mkdir((box(name)).c_str(), 0755);
    // Beside the job's cgroup they would be; here they go with it when a test fails.
    ::mkdir((dir_ + "/own").c_str(), 0755);
    auto own = JobCgroup::open(dir_ + "/own");
    ASSERT_TRUE(own);
    target_->cgroup.emplace(std::move(*own));
    target_->cgroup_path += "/own";
    target_->containers = [this] {
      std::vector<JobCgroup> out;
      for (const std::string& dir : containers_) out.push_back(std::move(*JobCgroup::open(dir)));
      return out;
    };
    containers_ = {box("first")};
  }
  std::string box(const std::string& name) const { return dir_ + "/" + name; }

  std::vector<std::string> containers_;
};

TEST_F(ContainersTest, EndWithTheJob) {
  Child inside(dir_ + "/own");
  Child contained(box("first"));
  Child foreign(box("second"));
  tracked_ = {inside.tracked(), contained.tracked()};
  const TerminationReport report = terminate();
  EXPECT_TRUE(inside.was_killed());
  EXPECT_TRUE(contained.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_EQ(report.processes, 2u);
  EXPECT_EQ(report.escaped, 0u);
  EXPECT_EQ(report.left, 0u);
  EXPECT_EQ(std::ifstream(box("first") + "/cgroup.freeze").get(), '0');
}

TEST_F(ContainersTest, AreAllThatAJobWithoutACgroupHas) {
  target_->cgroup.reset();
  target_->cgroup_path.clear();
  containers_ = {box("first"), box("second")};
  Child untold(box("first"));  // the kernel side had no room for it
  Child second(box("second"));
  Child foreign;
  tracked_ = {second.tracked()};
  const TerminationReport report = terminate();
  EXPECT_TRUE(untold.was_killed());
  EXPECT_TRUE(second.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_TRUE(report.used_kill_file);
  EXPECT_EQ(report.processes, 2u);
}

TEST_F(ContainersTest, OneWithTheSensorInItIsNotEndedAsAWhole) {
  target_->cgroup.reset();
  const std::string refuge = target_->refuge_dir;
  std::ofstream(box("first") + "/cgroup.procs") << ::getpid();
  Child contained(box("first"));
  Child foreign(box("first"));
  tracked_ = {contained.tracked()};
  const TerminationReport report = terminate();
  std::ofstream(refuge + "/cgroup.procs") << ::getpid();
  EXPECT_TRUE(contained.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_EQ(report.escaped, 1u);
}

TEST_F(ContainersTest, WithoutTheKillFileTheirProcessesAreEnded) {
  target_->may_use_kill_file = false;
  Child contained(box("first"));
  tracked_ = {contained.tracked()};
  EXPECT_EQ(terminate().escaped, 1u);
  EXPECT_TRUE(contained.was_killed());
}

TEST_F(TerminationTest, WithoutTheKillFile) {
  target_->may_use_kill_file = false;
  ::mkdir((dir_ + "/inner").c_str(), 0755);
  Child child(dir_);
  Child nested(dir_ + "/inner");
  Child stopped(dir_);
  ::kill(stopped.pid(), SIGSTOP);
  Child foreign;
  const TerminationReport report = terminate();
  EXPECT_TRUE(child.was_killed());
  EXPECT_TRUE(nested.was_killed());
  EXPECT_TRUE(stopped.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_FALSE(report.used_kill_file);
  EXPECT_EQ(report.left, 0u);
}

TEST_F(TerminationTest, InASharedCgroupOnlyTheJobsOwnDie) {
  target_->is_made_for_job = false;
  Child tracked(dir_);
  Child foreign(dir_);
  tracked_ = {tracked.tracked()};
  const TerminationReport report = terminate();
  EXPECT_TRUE(tracked.was_killed());
  EXPECT_FALSE(foreign.was_killed());
  EXPECT_FALSE(report.used_kill_file);
  EXPECT_EQ(report.left, 0u);
  EXPECT_LT(report.duration, std::chrono::seconds(2)) << "who is spared is not waited for";
  std::ifstream freeze(dir_ + "/cgroup.freeze");
  EXPECT_EQ(freeze.get(), '0') << "who is spared goes on";
}

TEST_F(TerminationTest, TheSensorIsMovedOutOfTheCgroupFirst) {
  Child child(dir_);
  Child own;
  std::ofstream(dir_ + "/cgroup.procs") << own.pid();
  std::ofstream(dir_ + "/cgroup.procs") << ::getpid();
  target_->own = {::getpid(), own.pid()};
  const TerminationReport report = terminate();
  EXPECT_TRUE(child.was_killed());
  EXPECT_FALSE(own.was_killed());
  EXPECT_TRUE(report.used_kill_file);
}

TEST_F(TerminationTest, GivesUpAfterItsTime) {
  target_->limit = std::chrono::milliseconds(50);
  target_->may_use_kill_file = false;
  target_->cgroup_path = "/nowhere";
  Child inside(dir_);
  const TerminationReport report = terminate();
  EXPECT_FALSE(inside.was_killed()) << "its cgroup is not the one that was named";
  EXPECT_EQ(report.left, 1u);
  EXPECT_GE(report.duration, std::chrono::milliseconds(50));
}

TEST_F(TerminationTest, NothingHappensWithoutAStrike) {
  Child child(dir_);
  {
    const Terminator terminator(std::move(*target_));
  }
  EXPECT_FALSE(child.was_killed());
}

}  // namespace
}  // namespace cicd
