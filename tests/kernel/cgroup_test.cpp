// SPDX-License-Identifier: Apache-2.0
// Cgroups: inheritance decided in the kernel, and processes that leave their job.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "support.h"

namespace cicd::test {

namespace {

// System calls only: runs in children of a fork.
int move_to(const Cgroup& cgroup, pid_t pid = 0) {
  const int file = ::openat(cgroup.fd(), "cgroup.procs", O_WRONLY | O_CLOEXEC);
  char text[16] = {};
  const int length = std::snprintf(text, sizeof(text), "%d", pid);
  const ssize_t written = ::write(file, text, static_cast<std::size_t>(length));
  ::close(file);
  return written > 0 ? 0 : 1;
}

int open_and_close(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 1;
  return ::close(file);
}

class CgroupHooks : public HookTest {
 protected:
  std::vector<SeenOpen> samples_of_an_open_in(const Cgroup& cgroup) {
    const Finished inside = run(&cgroup, [] { return open_and_close("/etc/passwd"); });
    return observe_inside([] { return 0; }).opens_of("/etc/passwd", inside.pid);
  }
};

TEST_F(CgroupHooks, ChildrenMadeByTheJobAreReported) {
  const std::string child = job().path() + "/child";
  std::uint64_t id = 0;
  const Samples samples = observe_inside([&] {
    if (::mkdir(child.c_str(), 0755) != 0) return 1;
    return ::rmdir(child.c_str()) == 0 ? 0 : 2;
  });
  EXPECT_EQ(finished().status, 0);
  const auto made = samples.cgroups(CICD_SAMPLE_CGROUP_MKDIR);
  ASSERT_EQ(made.size(), 1u);
  id = made[0].fixed.target_cgroup_id;
  EXPECT_GT(id, job().id());
  EXPECT_EQ(made[0].fixed.from_cgroup_id, job().id());
  EXPECT_EQ(made[0].path.bytes, job().path_below_root() + "/child");
  EXPECT_EQ(made[0].path.flags, 0u);
  EXPECT_EQ(made[0].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
  const auto removed = samples.cgroups(CICD_SAMPLE_CGROUP_RMDIR);
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].fixed.target_cgroup_id, id);
  EXPECT_EQ(removed[0].path.bytes, job().path_below_root() + "/child");
}

TEST_F(CgroupHooks, AGrandchildIsWatchedFromItsFirstInstruction) {
  const Cgroup child(job().path() + "/a");
  const Cgroup grandchild(child.path() + "/b");
  const Finished finished = run(&grandchild, [] { return open_and_close("/etc/passwd"); });
  const Samples samples = collect_until_exit(finished.pid);
  const auto forks = samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK, finished.pid);
  ASSERT_EQ(forks.size(), 1u);
  EXPECT_EQ(forks[0].header.cgroup_id, grandchild.id());
  EXPECT_EQ(forks[0].header.slot, kSlot);
  EXPECT_EQ(samples.opens_of("/etc/passwd", finished.pid).size(), 1u);
  // Made by this process, which is not the job's; they are the job's all the same.
  const auto made = samples.cgroups(CICD_SAMPLE_CGROUP_MKDIR);
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].fixed.header.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(made[0].fixed.target_cgroup_id, child.id());
  EXPECT_EQ(made[1].fixed.target_cgroup_id, grandchild.id());
  EXPECT_EQ(made[1].fixed.from_cgroup_id, child.id());
}

TEST_F(CgroupHooks, AStagedNameIsTheJobsFromItsFirstInstruction) {
  const auto noted = source().stage_cgroup("docker-cicd-staged.scope", kSlot);
  ASSERT_TRUE(noted) << noted.error().text;
  ASSERT_TRUE(source().stage_cgroup("docker-cicd-staged.scope", kSlot)) << "twice is once";
  const auto other = Cgroup::below_own("cicd-elsewhere");
  pid_t first = 0;
  {
    const Cgroup longer(other->path() + "/docker-cicd-staged.scope.d");
    const Finished unseen = run(&longer, [] { return open_and_close("/etc/hosts"); });
    const Cgroup staged(other->path() + "/docker-cicd-staged.scope");
    const Finished finished = run(&staged, [] { return open_and_close("/etc/passwd"); });
    first = finished.pid;
    const Samples samples = collect_until_exit(finished.pid);
    EXPECT_TRUE(samples.opens(unseen.pid).empty());
    EXPECT_EQ(samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK, finished.pid).size(), 1u);
    EXPECT_EQ(samples.opens_of("/etc/passwd", finished.pid).size(), 1u);
    const auto made = samples.cgroups(CICD_SAMPLE_CGROUP_MKDIR);
    ASSERT_EQ(made.size(), 1u);
    EXPECT_EQ(made[0].fixed.target_cgroup_id, staged.id());
    EXPECT_EQ(made[0].fixed.header.slot, kSlot);
    EXPECT_EQ(made[0].path.bytes, staged.path_below_root());
  }
  // The name is used up.
  const Cgroup again(other->path() + "/docker-cicd-staged.scope");
  const Finished unseen = run(&again, [] { return open_and_close("/etc/passwd"); });
  const Samples samples = observe_inside([] { return 0; });
  EXPECT_TRUE(samples.opens(unseen.pid).empty());
  EXPECT_NE(first, unseen.pid);
}

std::string container_name(char digit) { return "docker-" + std::string(64, digit) + ".scope"; }

TEST_F(CgroupHooks, OneThatWasMadeBeforeItWasStagedIsFound) {
  const auto other = Cgroup::below_own("cicd-elsewhere");
  const Cgroup early(other->path() + "/" + container_name('a'));
  observe_inside([] { return 0; });
  EXPECT_TRUE(samples_of_an_open_in(early).empty());

  ASSERT_TRUE(source().stage_cgroup(container_name('a'), kSlot));
  const auto found = source().adopt_earlier(container_name('a'), kSlot);
  ASSERT_TRUE(found) << found.error().text;
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->id, early.id());
  EXPECT_EQ((*found)->path, early.path_below_root());
  EXPECT_GT((*found)->age_ns, 0u);
  EXPECT_LT((*found)->age_ns, 60'000'000'000u);
  EXPECT_EQ(samples_of_an_open_in(early).size(), 1u);
  EXPECT_FALSE(source().adopt_earlier(container_name('a'), kSlot).value()) << "not staged any more";
}

TEST_F(CgroupHooks, OneThatWasMadeAndIsGoneIsFound) {
  const auto other = Cgroup::below_own("cicd-elsewhere");
  std::uint64_t id = 0;
  {
    const Cgroup early(other->path() + "/" + container_name('b'));
    id = early.id();
  }
  ASSERT_TRUE(source().stage_cgroup(container_name('b'), kSlot));
  const auto found = source().adopt_earlier(container_name('b'), kSlot);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->id, id);
  EXPECT_EQ((*found)->path, "");
}

TEST_F(CgroupHooks, OneThatIsMadeWhileItIsStagedIsNotEarlier) {
  ASSERT_TRUE(source().stage_cgroup(container_name('c'), kSlot));
  const auto other = Cgroup::below_own("cicd-elsewhere");
  const Cgroup timely(other->path() + "/" + container_name('c'));
  EXPECT_FALSE(source().adopt_earlier(container_name('c'), kSlot).value());
  EXPECT_FALSE(source().adopt_earlier("x/y", kSlot).value());
  EXPECT_EQ(samples_of_an_open_in(timely).size(), 1u);
}

TEST_F(CgroupHooks, StepsOfABuildAmongOthersAreToldByTheirName) {
  const auto services = Cgroup::below_own("cicd-services");
  const std::string id = "0123456789abcdefghijklmno";
  const auto opens_in = [&](const std::string& name) {
    const Cgroup made(services->path() + "/" + name);
    return samples_of_an_open_in(made).size();
  };
  ASSERT_TRUE(source().give_builds(services->id(), true, kSlot));
  EXPECT_EQ(opens_in("system.slice:docker:" + id), 1u);
  EXPECT_EQ(opens_in("a.slice:docker:" + id.substr(0, 20)), 1u);
  EXPECT_EQ(opens_in("a.slice:docker:" + id + id.substr(0, 15)), 1u) << "40 letters";
  for (const std::string& name :
       {"a.slice:docker:" + id.substr(0, 19), "a.slice:docker:" + id + id.substr(0, 16),
        ".slice:docker:" + id, "system.slice:podman:" + id, "docker-" + id + ".scope", id,
        std::string("ssh.service"), "x" + std::string(150, 'y') + ".slice:docker:" + id}) {
    EXPECT_EQ(opens_in(name), 0u) << name;
  }
  ASSERT_TRUE(source().give_builds(services->id(), true, 0));
  EXPECT_EQ(opens_in("system.slice:docker:" + id), 0u) << "nobody's again";
  ASSERT_TRUE(source().give_builds(services->id(), false, kSlot));
  EXPECT_EQ(opens_in(id), 1u) << "nothing else is made there";
  source().stop_tracking(kSlot);
  ASSERT_TRUE(source().track_cgroup(job().id(), kSlot));
  EXPECT_EQ(opens_in(id), 0u) << "that job is over";
}

TEST_F(CgroupHooks, NamesThatNoCgroupHasAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("a/b"), std::string("a\0b", 3), std::string(128, 'x')}) {
    const auto staged = source().stage_cgroup(name, kSlot);
    ASSERT_FALSE(staged);
    EXPECT_EQ(staged.error().code, ErrorCode::kInvalidInput);
  }
  EXPECT_TRUE(source().stage_cgroup(std::string(127, 'x'), kSlot));
}

TEST_F(CgroupHooks, CgroupsElsewhereAreSilent) {
  const auto other = Cgroup::below_own("cicd-other");
  const Cgroup below(other->path() + "/below");
  const Finished finished = run(&below, [] { return open_and_close("/etc/passwd"); });
  const Samples samples = observe_inside([] { return 0; });
  EXPECT_TRUE(samples.cgroups(CICD_SAMPLE_CGROUP_MKDIR).empty());
  EXPECT_TRUE(samples.opens(finished.pid).empty());
}

TEST_F(CgroupHooks, OtherHierarchiesAreSilent) {
  std::string v1;
  for (const char* name :
       {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer", "/run/cgroup-v1"}) {
    if (std::filesystem::exists(std::string(name) + "/cgroup.clone_children")) v1 = name;
  }
  if (v1.empty()) GTEST_SKIP() << "optional: no cgroup v1 hierarchy on this host";
  const std::string path = v1 + "/cicd-hook-v1-" + std::to_string(::getpid());
  const Samples samples = observe_inside([&] {
    if (::mkdir(path.c_str(), 0755) != 0) return 1;
    const std::string procs = path + "/cgroup.procs";
    const pid_t child = ::fork();
    if (child == 0) {
      const int file = ::open(procs.c_str(), O_WRONLY | O_CLOEXEC);
      ::_exit(::write(file, "0", 1) == 1 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::rmdir(path.c_str());
    return status;
  });
  EXPECT_EQ(finished().status, 0);
  EXPECT_TRUE(samples.cgroups(CICD_SAMPLE_CGROUP_MKDIR).empty());
  EXPECT_TRUE(samples.cgroups(CICD_SAMPLE_CGROUP_RMDIR).empty());
  EXPECT_TRUE(samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH).empty());
}

TEST_F(CgroupHooks, AProcessMovedInIsTheJobsFromThenOn) {
  const Finished finished = run(nullptr, [&] {
    open_and_close("/etc/hosts");
    if (move_to(job()) != 0) return 1;
    return open_and_close("/etc/passwd");
  });
  EXPECT_EQ(finished.status, 0);
  const Samples samples = collect_until_exit(finished.pid);
  EXPECT_TRUE(samples.opens_of("/etc/hosts").empty());
  EXPECT_EQ(samples.opens_of("/etc/passwd", finished.pid).size(), 1u);
  const auto attached = samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH);
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].fixed.header.flags, 0);
  EXPECT_EQ(attached[0].fixed.header.pid, static_cast<std::uint32_t>(finished.pid));
  EXPECT_EQ(attached[0].fixed.target_cgroup_id, job().id());
  EXPECT_EQ(attached[0].path.bytes, job().path_below_root());
}

class CgroupEscape : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) outside_ = Cgroup::below_own("cicd-outside");
  }
  void TearDown() override {
    outside_.reset();
    HookTest::TearDown();
  }
  const Cgroup& outside() const { return *outside_; }

 private:
  std::unique_ptr<Cgroup> outside_;
};

TEST_F(CgroupEscape, ByMovingItself) {
  const Samples samples = observe_inside([&] {
    if (move_to(outside()) != 0) return 1;
    if (open_and_close("/etc/passwd") != 0) return 2;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(exec("/bin/true", {"true"}));
    ::waitpid(child, nullptr, 0);
    return 11;
  });
  EXPECT_EQ(WEXITSTATUS(finished().status), 11);
  const auto attached = samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH);
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].fixed.header.flags, CICD_ATTACH_ESCAPE);
  EXPECT_EQ(attached[0].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
  EXPECT_EQ(attached[0].fixed.header.slot, kSlot);
  EXPECT_EQ(attached[0].fixed.from_cgroup_id, job().id());
  EXPECT_EQ(attached[0].fixed.target_cgroup_id, outside().id());
  EXPECT_EQ(attached[0].path.bytes, outside().path_below_root());

  const auto opens = samples.opens_of("/etc/passwd", finished().pid);
  ASSERT_EQ(opens.size(), 1u) << "an escaped process stays under observation";
  EXPECT_EQ(opens[0].fixed.header.slot, kSlot);
  EXPECT_EQ(opens[0].fixed.header.cgroup_id, outside().id());
  const auto forks = samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK);
  ASSERT_EQ(forks.size(), 2u) << "and so do its children";
  EXPECT_EQ(forks[1].header.cgroup_id, outside().id());
  const auto child = static_cast<pid_t>(forks[1].header.pid);
  EXPECT_EQ(samples.execs(child).size(), 1u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT, child).size(), 1u);
}

TEST_F(CgroupEscape, ProcessesOfASlotAreThoseThatLive) {
  EXPECT_TRUE(source().processes(kSlot).empty());
  const auto wait_for_end = [] {
    ::pause();
    return 0;
  };
  const pid_t inside = start(&job(), wait_for_end);
  const pid_t escaped = start(&job(), wait_for_end);
  const pid_t foreign = start(&outside(), wait_for_end);
  ASSERT_EQ(move_to(outside(), escaped), 0);
  std::vector<TrackedProcess> processes = source().processes(kSlot);
  std::ranges::sort(processes, {}, &TrackedProcess::pid);
  ASSERT_EQ(processes.size(), 2u);
  EXPECT_EQ(processes[0].pid, static_cast<std::uint32_t>(std::min(inside, escaped)));
  EXPECT_EQ(processes[1].pid, static_cast<std::uint32_t>(std::max(inside, escaped)));
  for (const pid_t pid : {inside, escaped, foreign}) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  EXPECT_TRUE(source().processes(kSlot).empty());
  const Samples samples = collect_until_exit(inside);
  for (const auto& fork : samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK)) {
    const auto same = std::ranges::find(processes, fork.header.pid, &TrackedProcess::pid);
    ASSERT_NE(same, processes.end());
    EXPECT_EQ(same->start_time_ns, fork.header.start_time_ns);
  }
}

TEST_F(CgroupEscape, ByBeingMoved) {
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  const pid_t pid = start(&job(), [&] {
    char byte = 0;
    if (::write(ready[1], "x", 1) != 1 || ::read(go[0], &byte, 1) != 1) return 1;
    return open_and_close("/etc/passwd");
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(move_to(outside(), pid), 0);
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  ::waitpid(pid, nullptr, 0);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
  const Samples samples = collect_until_exit(pid);
  const auto attached = samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH);
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].fixed.header.flags, CICD_ATTACH_ESCAPE);
  EXPECT_EQ(attached[0].fixed.header.pid, static_cast<std::uint32_t>(pid)) << "the moved one";
  EXPECT_EQ(samples.opens_of("/etc/passwd", pid).size(), 1u);
}

TEST_F(CgroupEscape, ByCloneIntoAnotherCgroup) {
  const Samples samples = observe_inside([&] {
    const pid_t child = start(&outside(), [] {
      open_and_close("/etc/passwd");
      return exec("/bin/true", {"true"});
    });
    ::waitpid(child, nullptr, 0);
    return 0;
  });
  const auto attached = samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH);
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].fixed.header.flags, CICD_ATTACH_ESCAPE | CICD_ATTACH_CLONE);
  EXPECT_EQ(attached[0].fixed.from_cgroup_id, job().id());
  EXPECT_EQ(attached[0].fixed.target_cgroup_id, outside().id());
  const auto child = static_cast<pid_t>(attached[0].fixed.header.pid);
  EXPECT_NE(child, finished().pid);
  EXPECT_EQ(samples.of(CICD_SAMPLE_FORK, child).size(), 1u);
  EXPECT_EQ(samples.opens_of("/etc/passwd", child).size(), 1u);
  EXPECT_EQ(samples.execs(child).size(), 1u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT, child).size(), 1u);
}

TEST_F(CgroupEscape, EachWayOutIsReportedOnce) {
  const auto further = Cgroup::below_own("cicd-further");
  const Samples samples = observe_inside([&] {
    if (move_to(outside()) != 0 || move_to(*further) != 0) return 1;  // one way out
    if (move_to(job()) != 0) return 2;                                // and back
    return move_to(outside());                                        // a second
  });
  EXPECT_EQ(finished().status, 0);
  std::vector<std::uint16_t> flags;
  for (const SeenCgroup& each : samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH)) {
    flags.push_back(each.fixed.header.flags);
  }
  EXPECT_EQ(flags, (std::vector<std::uint16_t>{CICD_ATTACH_ESCAPE, 0, CICD_ATTACH_ESCAPE}));
}

TEST_F(CgroupEscape, ThoseWhoWereThereBeforeAreKnown) {
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  const auto early = Cgroup::below_own("cicd-early");
  const pid_t pid = start(early.get(), [&] {
    char byte = 0;
    if (::write(ready[1], "x", 1) != 1 || ::read(go[0], &byte, 1) != 1) return 1;
    return move_to(outside());
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_TRUE(source().track_cgroup(early->id(), kSlot));
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  ::waitpid(pid, nullptr, 0);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
  const Samples samples = collect_until_exit(pid);
  const auto attached = samples.cgroups(CICD_SAMPLE_CGROUP_ATTACH);
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].fixed.header.flags, CICD_ATTACH_ESCAPE);
  EXPECT_EQ(attached[0].fixed.from_cgroup_id, early->id());
}

TEST_F(CgroupEscape, OutsidersAreNotTakenForEscaped) {
  // While a process of the job is outside, its neighbours there are still nobody's.
  const Samples samples = observe_inside([&] {
    if (move_to(outside()) != 0) return 1;
    return open_and_close("/etc/passwd");
  });
  const Finished stranger = run(&outside(), [] { return open_and_close("/etc/passwd"); });
  const Samples later = observe_inside([] { return 0; });
  EXPECT_TRUE(later.opens(stranger.pid).empty());
  EXPECT_TRUE(later.of(CICD_SAMPLE_FORK, stranger.pid).empty());
}

}  // namespace

}  // namespace cicd::test
