// SPDX-License-Identifier: Apache-2.0
// LiveSource itself: losses are counted, hooks come and go, nothing is left when its holders are
// killed, two processes can take turns, and what can go wrong at the start says what to do.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

using std::chrono::milliseconds;

std::uint64_t count_of(const LossReport& report, const char* what, const char* reason) {
  for (const LossEntry& entry : report.entries) {
    if (entry.what == what && entry.reason == reason) return entry.count;
  }
  return 0;
}

int open_often(int count, const char* path) {
  for (int i = 0; i < count; ++i) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 1;
    ::close(file);
  }
  return 0;
}

class LiveSourceTest : public HookTest {
 protected:
  LiveOptions options() const override {
    LiveOptions options;
    options.dedup = false;
    return options;
  }
};

TEST_F(LiveSourceTest, EveryEventTypeIsCovered) {
  const std::vector<Coverage> coverage = source().coverage();
  ASSERT_EQ(coverage.size(), kEventTypeCount);
  for (std::size_t i = 0; i < kEventTypeCount; ++i) {
    EXPECT_EQ(coverage[i].type, static_cast<EventType>(i));
    EXPECT_TRUE(coverage[i].available) << coverage[i].reason;
    EXPECT_FALSE(coverage[i].backend.empty());
  }
}

TEST_F(LiveSourceTest, SelfCheckPassesAndLeavesNothing) {
  const Result<> checked = source().self_check(own_cgroup_path());
  EXPECT_TRUE(checked) << checked.error().text;
  for (const auto& entry : std::filesystem::directory_iterator(own_cgroup_path())) {
    EXPECT_EQ(entry.path().filename().string().find("self-check"), std::string::npos);
  }
  const Samples samples = observe_inside([] { return open_often(1, "/etc/passwd"); });
  EXPECT_EQ(samples.opens_of("/etc/passwd").size(), 1u) << "hooks that were on stay on";
}

TEST_F(LiveSourceTest, SelfCheckNamesWhatIsMissing) {
  const Result<> checked = source().self_check("/nonexistent");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(checked.error().text.starts_with("self-check: make cgroup /nonexistent/"))
      << checked.error().text;
}

TEST_F(LiveSourceTest, OpensEndWithTheJobHooks) {
  source().stop_job_hooks();
  // Detaching is finished by the kernel in the background.
  Samples samples;
  for (int i = 0; i < 100; ++i) {
    samples = observe_inside([] { return open_often(1, "/etc/passwd"); });
    if (samples.opens().empty()) break;
    ::usleep(20'000);
  }
  EXPECT_TRUE(samples.opens().empty());
  EXPECT_EQ(samples.of(CICD_SAMPLE_FORK).size(), 1u) << "the other hooks stay";
  ASSERT_TRUE(source().start_job_hooks());
  samples = observe_inside([] { return open_often(1, "/etc/passwd"); });
  EXPECT_EQ(samples.opens_of("/etc/passwd").size(), 1u);
}

TEST_F(LiveSourceTest, AnUntrackedSlotIsSilent) {
  source().untrack_slot(kSlot);
  const Finished quiet = run(&job(), [] { return open_often(1, "/etc/passwd"); });
  const auto other = Cgroup::below_own("cicd-other");
  ASSERT_TRUE(source().track_cgroup(other->id(), kSlot));
  const Finished loud = run(other.get(), [] { return open_often(1, "/etc/passwd"); });
  const Samples samples = collect_until_exit(loud.pid);
  EXPECT_EQ(samples.opens(loud.pid).size(), 1u);
  for (const Seen& seen : samples.all()) {
    EXPECT_NE(seen.header().pid, static_cast<std::uint32_t>(quiet.pid));
  }
}

TEST_F(LiveSourceTest, SlotsThatDoNotExistAreRefused) {
  EXPECT_FALSE(source().track_cgroup(1, 0));
  EXPECT_FALSE(source().track_cgroup(1, 256));
}

TEST_F(LiveSourceTest, SamplesComeInOrderOfTime) {
  const Samples samples = observe_inside([] {
    for (int i = 0; i < 200; ++i) {
      if (open_often(3, "/etc/passwd") != 0) return 1;
      const pid_t child = ::fork();
      if (child == 0) ::_exit(open_often(3, "/etc/hosts"));
      ::waitpid(child, nullptr, 0);
    }
    return 0;
  });
  EXPECT_EQ(samples.of(CICD_SAMPLE_FORK).size(), 201u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT).size(), 201u);
  EXPECT_EQ(samples.opens().size(), 1200u);
  std::set<std::uint32_t> born;
  for (const Seen& seen : samples.all()) {
    const cicd_sample_header header = seen.header();
    if (header.type == CICD_SAMPLE_FORK) born.insert(header.pid);
    EXPECT_TRUE(born.contains(header.pid)) << "a process acts before its fork sample";
  }
}

TEST_F(LiveSourceTest, AFullRingIsCountedToTheLast) {
  LiveOptions options;
  options.dedup = false;
  options.bulk_ring_bytes = 16384;
  options.control_ring_bytes = 4096;
  auto small = LiveSource::open(options);
  ASSERT_TRUE(small) << small.error().text;
  ASSERT_TRUE((*small)->track_cgroup(job().id(), 3));
  ASSERT_TRUE((*small)->start_job_hooks());
  constexpr int kOpens = 5000;
  constexpr int kProcesses = 100;
  run(&job(), [] {
    if (open_often(kOpens, "/etc/passwd") != 0) return 1;
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      ::waitpid(child, nullptr, 0);
    }
    return 0;
  });
  Samples samples;
  const Result<std::size_t> polled =
      (*small)->poll(milliseconds(0), [&](SampleBytes bytes) { samples.add(bytes); });
  ASSERT_TRUE(polled);
  const Result<LossReport> losses = (*small)->losses(3);
  ASSERT_TRUE(losses);
  EXPECT_GT(samples.opens().size(), 50u);
  EXPECT_EQ(samples.opens().size() + count_of(*losses, "file_open", "ring_full"), kOpens);
  EXPECT_EQ(samples.of(CICD_SAMPLE_FORK).size() + count_of(*losses, "process_fork", "ring_full"),
            kProcesses + 1u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT).size() + count_of(*losses, "process_exit", "ring_full"),
            kProcesses + 1u);
  EXPECT_GT(count_of(*losses, "process_exit", "ring_full"), 0u);
  EXPECT_GE(losses->slowed_acts, without_recursion(*losses).total()) << "each had to wait first";
  EXPECT_EQ(without_recursion(*(*small)->losses(4)).total(), 0u) << "another job lost nothing";

  // Once there is room again, samples come again.
  (*small)->commit();
  run(&job(), [] { return open_often(1, "/etc/hosts"); });
  Samples more;
  ASSERT_TRUE((*small)->poll(milliseconds(100), [&](SampleBytes bytes) { more.add(bytes); }));
  EXPECT_EQ(more.opens_of("/etc/hosts").size(), 1u);
}

TEST_F(LiveSourceTest, ThoseBeyondTheMostAreInTheNextPoll) {
  LiveOptions options;
  options.dedup = false;
  options.most_samples = 50;
  auto own = LiveSource::open(options);
  ASSERT_TRUE(own) << own.error().text;
  ASSERT_TRUE((*own)->track_cgroup(job().id(), 3));
  ASSERT_TRUE((*own)->start_job_hooks());
  run(&job(), [] { return open_often(120, "/etc/passwd"); });
  Samples samples;
  std::size_t count = options.most_samples;
  for (int polls = 0; count >= options.most_samples; ++polls) {
    ASSERT_LT(polls, 10);
    const auto polled = (*own)->poll(milliseconds(0), [&](SampleBytes one) { samples.add(one); });
    ASSERT_TRUE(polled);
    count = *polled;
    EXPECT_LE(count, options.most_samples);
    (*own)->commit();
  }
  EXPECT_EQ(samples.opens().size(), 120u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT).size(), 1u);
}

TEST_F(LiveSourceTest, WhatWasNotCommittedComesAgainInAnotherProcess) {
  auto own = LiveSource::open({});
  ASSERT_TRUE(own) << own.error().text;
  ASSERT_TRUE((*own)->track_cgroup(job().id(), 3));
  const auto forks_of_poll = [&] {
    Samples samples;
    EXPECT_TRUE((*own)->poll(milliseconds(0), [&](SampleBytes bytes) { samples.add(bytes); }));
    return samples.of(CICD_SAMPLE_FORK).size();
  };
  const auto act = [&] { run(&job(), [] { return 0; }); };
  act();
  // A child reads and commits the first; reads the second without committing it.
  const Finished reader = run(nullptr, [&] {
    if (forks_of_poll() != 1) return 1;
    (*own)->commit();
    act();
    return forks_of_poll() == 1 ? 0 : 2;
  });
  EXPECT_EQ(reader.status, 0);
  EXPECT_EQ(forks_of_poll(), 1u) << "the second, not the first";
  const RingPositions after_second = (*own)->positions();
  act();
  // A reader whose journal says "second is written" goes on behind it.
  const Finished resumed = run(nullptr, [&] {
    (*own)->set_positions(after_second);
    return static_cast<int>(forks_of_poll());
  });
  EXPECT_EQ(WEXITSTATUS(resumed.status), 1);
}

TEST_F(LiveSourceTest, ASleepingConsumerIsWokenAtOnce) {
  auto own = LiveSource::open({});
  ASSERT_TRUE(own) << own.error().text;
  ASSERT_TRUE((*own)->track_cgroup(job().id(), 3));
  const pid_t pid = start(&job(), [] {
    ::usleep(300'000);
    return exec("/bin/true", {"true"});
  });
  const auto until = [&](cicd_sample_type type) {
    const auto begin = std::chrono::steady_clock::now();
    Samples samples;
    while (samples.of(type, pid).empty()) {
      const Result<std::size_t> polled =
          (*own)->poll(milliseconds(5000), [&](SampleBytes bytes) { samples.add(bytes); });
      if (!polled || *polled == 0) break;
      (*own)->commit();
    }
    EXPECT_EQ(samples.of(type, pid).size(), 1u);
    return std::chrono::steady_clock::now() - begin;
  };
  until(CICD_SAMPLE_FORK);
  const auto waited = until(CICD_SAMPLE_EXEC);
  EXPECT_LT(waited, milliseconds(2000)) << "not only when its patience ended";
  EXPECT_GT(waited, milliseconds(100));
  ::waitpid(pid, nullptr, 0);
}

// Ids of the programs that a process holds.
std::set<std::uint32_t> programs_of(pid_t pid) {
  std::set<std::uint32_t> ids;
  const std::string dir = "/proc/" + std::to_string(pid) + "/fdinfo";
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("prog_id:")) {
        ids.insert(static_cast<std::uint32_t>(std::stoul(line.substr(8))));
      }
    }
  }
  return ids;
}

std::size_t links_to(const std::set<std::uint32_t>& programs) {
  std::size_t count = 0;
  __u32 id = 0;
  while (::bpf_link_get_next_id(id, &id) == 0) {
    const UniqueFd link(::bpf_link_get_fd_by_id(id));
    bpf_link_info info{};
    __u32 size = sizeof(info);
    if (link && ::bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0) {
      count += programs.contains(info.prog_id);
    }
  }
  return count;
}

std::size_t loaded(const std::set<std::uint32_t>& programs) {
  std::size_t count = 0;
  for (const std::uint32_t id : programs) count += UniqueFd(::bpf_prog_get_fd_by_id(id)) ? 1 : 0;
  return count;
}

TEST_F(LiveSourceTest, KilledHoldersLeaveNothingAndDoNotStall) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = start(nullptr, [&] {
    auto own = LiveSource::open({});
    if (!own || !(*own)->start_job_hooks()) return 1;
    if (::write(ready[1], "x", 1) != 1) return 2;
    ::pause();
    return 0;
  });
  pollfd wait{ready[0], POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 60'000), 1) << "emulated machines take their time to load";
  ::close(ready[0]);
  ::close(ready[1]);
  std::set<std::uint32_t> programs = programs_of(pid);
  for (const std::uint32_t inherited : programs_of(::getpid())) programs.erase(inherited);
  EXPECT_GE(programs.size(), 11u);
  EXPECT_GE(links_to(programs), 12u);

  const auto begin = std::chrono::steady_clock::now();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  const auto exited = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(exited, milliseconds(500)) << "a stall at the exit";
  while (links_to(programs) + loaded(programs) > 0) {
    ASSERT_LT(std::chrono::steady_clock::now() - begin, milliseconds(10'000));
    ::usleep(5000);
  }
}

// Errors at the start.
TEST(LiveSourceErrors, BtfMissing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  LiveOptions options;
  options.btf_path = "/nonexistent/btf";
  const auto source = LiveSource::open(options);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(source.error().text, "kernel type information (BTF) is missing: /nonexistent/btf");
  EXPECT_FALSE(source.error().hint.empty());
}

TEST(LiveSourceErrors, BtfThatIsNone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  LiveOptions options;
  options.btf_path = "/etc/passwd";
  const auto source = LiveSource::open(options);
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().text.find("/etc/passwd"), std::string::npos) << source.error().text;
}

TEST(LiveSourceErrors, RingSizes) {
  LiveOptions options;
  options.bulk_ring_bytes = 12345;
  const auto source = LiveSource::open(options);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kUsage);
  EXPECT_EQ(source.error().text, "bulk ring of 12345 bytes is not possible");
}

TEST(LiveSourceErrors, BackendsThatThereAreNot) {
  LiveOptions options;
  options.backends["unix_socket_connect"] = "magic";
  const auto source = LiveSource::open(options);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kUsage);
  EXPECT_EQ(source.error().text, "there is no backend 'magic' for unix_socket_connect");
}

TEST(LiveSourceErrors, KindOfBackendThatThereIsNot) {
  LiveOptions options;
  options.backend_kind = "magic";
  const auto source = LiveSource::open(options);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kUsage);
  EXPECT_EQ(source.error().text, "there is no kind of backend 'magic'");
}

TEST(LiveSourceBackends, AKindIsForcedOrNotToBeHad) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto backends_of = [](const LiveSource& source) {
    std::map<EventType, std::string> out;
    for (const Coverage& each : source.coverage()) {
      EXPECT_TRUE(each.available) << info_of(each.type).name << ": " << each.reason;
      out[each.type] = each.backend;
    }
    return out;
  };
  LiveOptions options;
  options.backend_kind = "syscall";
  auto calls = LiveSource::open(options);
  ASSERT_TRUE(calls) << calls.error().text;
  for (const auto& [type, backend] : backends_of(**calls)) {
    EXPECT_NE(backend, "trampoline") << info_of(type).name;
  }
  calls->reset();
  options.backend_kind = "trampoline";
  const auto functions = LiveSource::open(options);
  if (!functions) {
    EXPECT_EQ(functions.error().code, ErrorCode::kUnsupported);
    EXPECT_TRUE(functions.error().text.starts_with("trampolines are not to be had here: "));
    return;
  }
  auto backends = backends_of(**functions);
  for (const EventType type : {EventType::kFileOpen, EventType::kFileRemove, EventType::kMount,
                               EventType::kUnixSocketConnect, EventType::kExecMemory}) {
    EXPECT_EQ(backends[type], "trampoline") << info_of(type).name;
  }
}

TEST(LiveSourceErrors, WithoutRootItNamesTheCommand) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Finished finished = run(nullptr, [] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
    const auto source = LiveSource::open({});
    if (source || source.error().code != ErrorCode::kPermission) return 2;
    // /proc/self/cmdline: this test's own command.
    return source.error().hint.find(": sudo ") == std::string::npos ||
                   source.error().hint.find("hooks_test") == std::string::npos
               ? 3
               : 0;
  });
  EXPECT_EQ(finished.status, 0);
}

}  // namespace

}  // namespace cicd::test
