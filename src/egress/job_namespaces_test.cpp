// SPDX-License-Identifier: Apache-2.0
#include "egress/job_namespaces.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "support/fake_egress.h"

namespace cicd {
namespace {

using namespace std::chrono_literals;
using support::FakeEgress;

class NoEvents final : public ResolverEvents {
 public:
  void name_denied(const DeniedName&) override {}
  void name_resolved(const ResolvedName&) override {}
};

// A process in a network namespace of its own, until it is told to go.
class Resident {
 public:
  Resident() {
    int ready[2];
    if (::pipe(ready) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char made = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
      if (::write(ready[1], &made, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char made = 'n';
    is_made_ = ::read(ready[0], &made, 1) == 1 && made == 'y';
    ::close(ready[0]);
    ::close(ready[1]);
    struct stat info{};
    if (::stat(("/proc/" + std::to_string(pid_) + "/ns/net").c_str(), &info) == 0) {
      netns_ = static_cast<std::uint32_t>(info.st_ino);
    }
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  ~Resident() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  bool is_made() const { return is_made_; }
  std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  std::uint32_t netns() const { return netns_; }

 private:
  pid_t pid_ = 0;
  bool is_made_ = false;
  std::uint32_t netns_ = 0;
};

template <typename Condition>
bool comes_true(Condition condition, std::chrono::milliseconds within) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

class JobNamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Resident().is_made()) GTEST_SKIP() << "network namespaces need root";
    auto resolver = Resolver::start(control_, events_, {.port = 25'353});
    ASSERT_TRUE(resolver) << resolver.error().text;
    resolver_ = std::move(*resolver);
    namespaces_ = std::make_unique<JobNamespaces>(control_, *resolver_);
    ASSERT_TRUE(namespaces_->start());
  }

  FakeEgress control_;
  NoEvents events_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<JobNamespaces> namespaces_;
};

TEST_F(JobNamespacesTest, ServesWhereAJobComesTo) {
  const Resident there;
  namespaces_->add_job(1);
  control_.set_processes(1, {there.pid()});
  control_.ask({.netns = there.netns(), .slot = 1, .tid = there.pid()});
  EXPECT_TRUE(comes_true([&] { return control_.serves(there.netns()); }, 5s));
  EXPECT_EQ(namespaces_->remove_job(1).served, 1u);
}

TEST_F(JobNamespacesTest, ServesWhereAJobIsAlready) {
  const Resident there;
  control_.set_processes(1, {there.pid()});
  namespaces_->add_job(1);
  EXPECT_TRUE(control_.serves(there.netns()));
}

TEST_F(JobNamespacesTest, LeavesOneThatIsEmpty) {
  Resident there;
  const Resident other;
  control_.set_processes(1, {there.pid(), other.pid()});
  namespaces_->add_job(1);
  ASSERT_TRUE(control_.serves(there.netns()));
  there.end();
  EXPECT_TRUE(comes_true([&] { return !control_.serves(there.netns()); }, 10s));
  EXPECT_TRUE(control_.serves(other.netns()));
}

TEST_F(JobNamespacesTest, LeavesThoseOfAJobThatIsOver) {
  const Resident there;
  const Resident shared;
  control_.set_processes(1, {there.pid(), shared.pid()});
  control_.set_processes(2, {shared.pid()});
  namespaces_->add_job(1);
  namespaces_->add_job(2);
  namespaces_->remove_job(1);
  EXPECT_FALSE(control_.serves(there.netns()));
  EXPECT_TRUE(control_.serves(shared.netns()));
}

TEST_F(JobNamespacesTest, ManyAreTooMany) {
  std::vector<Resident> there(JobNamespaces::kMaxOfJob + 2);
  const Resident of_another;
  std::vector<std::uint32_t> pids;
  for (const Resident& each : there) pids.push_back(each.pid());
  control_.set_processes(1, pids);
  control_.set_processes(2, {of_another.pid()});
  namespaces_->add_job(1);
  namespaces_->add_job(2);
  std::size_t served = 0;
  for (const Resident& each : there) served += control_.serves(each.netns()) ? 1 : 0;
  EXPECT_EQ(served, JobNamespaces::kMaxOfJob);
  EXPECT_TRUE(control_.serves(of_another.netns()));
  EXPECT_EQ(namespaces_->remove_job(1).too_many, 2u);
}

TEST_F(JobNamespacesTest, AProcessThatHasMovedOnIsNotFollowed) {
  const Resident there;
  namespaces_->add_job(1);
  control_.ask({.netns = there.netns() + 1, .slot = 1, .tid = there.pid()});
  control_.ask({.netns = there.netns(), .slot = 1, .tid = there.pid()});
  EXPECT_TRUE(comes_true([&] { return control_.serves(there.netns()); }, 5s));
  EXPECT_FALSE(control_.serves(there.netns() + 1));
}

}  // namespace
}  // namespace cicd
