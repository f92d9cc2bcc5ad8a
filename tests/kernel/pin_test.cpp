// SPDX-License-Identifier: Apache-2.0
// A kernel side that is pinned: it goes on when the process that loaded it is killed, the next one
// takes it over without a gap where this kernel can pin everything, and one that ends leaves
// nothing.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "kernel/kernel_release.h"
#include "support.h"

namespace cicd::test {

namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

constexpr int kFiles = 200;

class PinnedSource : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    pins_ = "/sys/fs/bpf/cicd-sensor-test-" + std::to_string(::getpid()) + "/agent";
    cgroup_ = Cgroup::below_own("pinned");
    ASSERT_TRUE(cgroup_);
  }
  void TearDown() override {
    HookTest::TearDown();
    if (pins_.empty()) return;
    LiveOptions last = pinned();
    last.dedup = !last.dedup;  // does not fit: everything is cleared, and nothing left at the end
    LiveSource::open(last);
    EXPECT_FALSE(fs::exists(pins_)) << "nothing is left";
  }
  LiveOptions pinned() const {
    LiveOptions options;
    if (const char* kind = std::getenv("CICD_TEST_BACKEND")) options.backend_kind = kind;
    options.pin_dir = pins_;
    return options;
  }
  // A process opens the source, watches the cgroup, reads the open of f0, and is killed.
  void let_one_be_killed(bool commits = true) const {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto source = LiveSource::open(pinned());
      const char failed = 'f';
      char told = failed;
      if (source && (*source)->pins().error.empty() &&
          (*source)->track_cgroup(cgroup_->id(), kSlot) && (*source)->start_job_hooks()) {
        run(cgroup_.get(), [&] { return open_file(0); });
        if ((*source)->poll(milliseconds(100), [&](SampleBytes) { told = 'y'; }) && commits) {
          (*source)->commit();
        }
      }
      [[maybe_unused]] const ssize_t written = ::write(ready[1], &told, 1);
      ::pause();
      ::_exit(0);
    }
    char told = 0;
    ::close(ready[1]);
    EXPECT_EQ(::read(ready[0], &told, 1), 1);
    EXPECT_EQ(told, 'y') << "the first process saw nothing";
    ::close(ready[0]);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  int open_file(int number) const {
    const std::string path = scratch() + "/f" + std::to_string(number);
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    return fd < 0 ? 1 : ::close(fd);
  }
  std::set<std::string> opens(LiveSource& source) const {
    Samples samples;
    EXPECT_TRUE(source.poll(milliseconds(200), [&](SampleBytes bytes) { samples.add(bytes); }));
    source.commit();
    std::set<std::string> paths;
    for (const SeenOpen& open : samples.opens_of("")) {
      const std::string path = open.path.path();
      if (path.starts_with(scratch() + "/f") && !paths.insert(path).second) {
        ADD_FAILURE() << path << " came twice";
      }
    }
    return paths;
  }
  const Cgroup* cgroup() const { return cgroup_.get(); }
  const std::string& pins() const { return pins_; }

 private:
  std::string pins_;
  std::unique_ptr<Cgroup> cgroup_;
};

// Before 5.15 attachments to tracepoints of system calls cannot be pinned.
bool pins_everything() { return running_kernel() >= KernelRelease{5, 15}; }

TEST_F(PinnedSource, GoesOnWithoutAProcess) {
  let_one_be_killed();
  const int acts = kFiles;
  run(cgroup(), [&] {
    for (int i = 1; i <= acts; ++i) {
      if (open_file(i) != 0) return 1;
    }
    return 0;
  });
  auto next = LiveSource::open(pinned());
  ASSERT_TRUE(next) << next.error().text;
  const std::uint32_t slots[] = {kSlot};
  (*next)->keep_slots(slots);
  ASSERT_TRUE((*next)->start_job_hooks());
  const PinReport report = (*next)->pins();
  EXPECT_TRUE(report.is_adopted) << report.error;
  if (pins_everything()) {
    EXPECT_EQ(report.attached_anew, 0u);
    EXPECT_EQ(opens(**next).size(), static_cast<std::size_t>(kFiles));
  }
  run(cgroup(), [&] { return open_file(kFiles + 1); });
  EXPECT_TRUE(opens(**next).contains(scratch() + "/f" + std::to_string(kFiles + 1)));
  const auto losses = (*next)->losses(kSlot);
  ASSERT_TRUE(losses);
  for (const LossEntry& entry : losses->entries) EXPECT_EQ(entry.reason, "recursion") << entry.what;
}

TEST_F(PinnedSource, WhatWasNotCommittedComesAgain) {
  let_one_be_killed(false);
  {
    auto second = LiveSource::open(pinned());
    ASSERT_TRUE(second) << second.error().text;
    const std::uint32_t slots[] = {kSlot};
    (*second)->keep_slots(slots);
    const RingPositions first = (*second)->positions();
    std::vector<SampleBytes> seen;
    const auto keep = [&](SampleBytes bytes) {
      EXPECT_FALSE((*second)->is_before(bytes, first));
      seen.push_back(bytes);
    };
    ASSERT_TRUE((*second)->poll(milliseconds(200), keep));
    EXPECT_FALSE(seen.empty()) << "what the first one read and did not commit";
    const RingPositions then = (*second)->positions();
    for (const SampleBytes bytes : seen) EXPECT_TRUE((*second)->is_before(bytes, then));
  }
  EXPECT_FALSE(fs::exists(pins())) << "one that ends leaves nothing";
}

TEST_F(PinnedSource, OtherSlotsAreForgotten) {
  let_one_be_killed();
  auto next = LiveSource::open(pinned());
  ASSERT_TRUE(next) << next.error().text;
  (*next)->keep_slots({});
  ASSERT_TRUE((*next)->start_job_hooks());
  run(cgroup(), [&] { return open_file(1); });
  EXPECT_TRUE(opens(**next).empty()) << "nobody wants that slot any more";
}

TEST_F(PinnedSource, AnotherKindOfSourceIsNotTakenOver) {
  let_one_be_killed();
  LiveOptions other = pinned();
  other.bulk_ring_bytes = 1 << 20;
  auto next = LiveSource::open(other);
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_FALSE((*next)->pins().is_adopted);
}

// Pins of probes by file: "probe-<device>-<inode>-<time>-<bytes>" -> what comes after it.
std::map<std::string, std::set<std::string>> probes_by_file(const std::string& pins) {
  std::map<std::string, std::set<std::string>> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(pins + "/probes", error)) {
    const std::string name = entry.path().filename();
    std::size_t end = 0;
    for (int dashes = 0; dashes < 5; ++dashes) end = name.find('-', end + 1);
    out[name.substr(0, end)].insert(name.substr(end));
  }
  return out;
}

bool is_whole(const std::set<std::string>& pins) {
  const auto ends = [](const std::string& name) { return name.ends_with("-whole"); };
  return std::count_if(pins.begin(), pins.end(), ends) == 1;
}

// Takes from a file the mark that all of its probes are there.
void lose_whole_mark(const std::string& pins) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(pins + "/probes", error)) {
    const std::string path = entry.path();
    if (!path.ends_with("-whole")) continue;
    fs::rename(path, path.substr(0, path.rfind('-')), error);
    EXPECT_FALSE(error) << path;
    return;
  }
  ADD_FAILURE() << "no file has all of its probes";
}

// A process that is killed as soon as there are `count` probes; how many there were in the end.
std::size_t kill_at_probe(const LiveOptions& options, std::size_t count) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto source = LiveSource::open(options);
    const bool works = source && (*source)->start_job_hooks();
    if (works) ::pause();
    ::_exit(1);
  }
  const auto probes = [&] {
    std::error_code error;
    const fs::directory_iterator all(options.pin_dir + "/probes", error);
    return error ? std::size_t{0} : static_cast<std::size_t>(std::distance(begin(all), end(all)));
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (probes() < count && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return probes();
}

// Its pins, as it was found; and what the next one makes of them.
TEST_F(PinnedSource, ALibraryThatIsHalfProbedIsProbedAnew) {
  if (!pins_everything()) GTEST_SKIP() << "not in this kernel: pins of all links";
  bool was_half = false;
  for (int round = 0; round < 10 && !was_half; ++round) {
    ASSERT_GE(kill_at_probe(pinned(), 1), 1u);
    for (const auto& [file, found] : probes_by_file(pins())) was_half |= !is_whole(found);
  }
  // No kill came between the first probe of a file and its last: as if one had.
  if (!was_half) lose_whole_mark(pins());
  auto next = LiveSource::open(pinned());
  ASSERT_TRUE(next) << next.error().text;
  ASSERT_TRUE((*next)->track_cgroup(cgroup()->id(), kSlot));
  ASSERT_TRUE((*next)->start_job_hooks());
  EXPECT_TRUE((*next)->pins().is_adopted) << (*next)->pins().error;
  for (const auto& [file, found] : probes_by_file(pins())) {
    EXPECT_TRUE(is_whole(found)) << file;
    EXPECT_EQ(found.size() % 2, 0u) << file << ": a call and a return for each function";
  }
  run(cgroup(), [] {
    addrinfo* found = nullptr;
    if (::getaddrinfo("127.0.0.78", "80", nullptr, &found) != 0) return 1;
    ::freeaddrinfo(found);
    return 0;
  });
  Samples samples;
  EXPECT_TRUE((*next)->poll(milliseconds(200), [&](SampleBytes bytes) { samples.add(bytes); }));
  EXPECT_EQ(samples.of(CICD_SAMPLE_GETADDRINFO).size(), 1u);
}

// Only a process of a container has it: it is found there, without a sample that tells of it.
TEST_F(PinnedSource, AHalfProbedLibraryIsFoundWhereItIsMapped) {
  if (!pins_everything()) GTEST_SKIP() << "not in this kernel: pins of all links";
  // A copy of the library that this process has.
  Dl_info own{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::getaddrinfo), &own), 0);
  const std::string copy = scratch() + "/libc.so.6";
  ASSERT_TRUE(fs::copy_file(own.dli_fname, copy));
  struct stat status{};
  const UniqueFd fd(::open(copy.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::fstat(fd.get(), &status), 0);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  char file[96];
  std::snprintf(file, sizeof(file), "probe-%lx-%lx-%lx-%lx", status.st_dev, status.st_ino,
                status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_size);

  let_one_be_killed();
  const auto before = probes_by_file(pins());
  ASSERT_FALSE(before.empty());
  const std::string taken = pins() + "/probes/" + before.begin()->first;
  for (const std::string& pin : before.begin()->second) {
    const std::string other = pins() + "/probes/" + file + pin;
    ASSERT_EQ(pin.ends_with("-whole") ? ::unlink((taken + pin).c_str())
                                      : ::rename((taken + pin).c_str(), other.c_str()),
              0);
  }
  auto next = LiveSource::open(pinned());
  ASSERT_TRUE(next) << next.error().text;
  ASSERT_TRUE((*next)->track_cgroup(cgroup()->id(), kSlot));
  ASSERT_TRUE((*next)->start_job_hooks());
  run(cgroup(), [] { return exec("/bin/true", {"true"}); });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!is_whole(probes_by_file(pins())[file]) && std::chrono::steady_clock::now() < end) {
    ASSERT_TRUE((*next)->poll(milliseconds(20), [](SampleBytes) {}));
  }
  EXPECT_TRUE(is_whole(probes_by_file(pins())[file]));
  ::munmap(mapped, 4096);
}

TEST_F(PinnedSource, ALibraryThatIsWholeIsTakenOver) {
  if (!pins_everything()) GTEST_SKIP() << "not in this kernel: pins of all links";
  let_one_be_killed();
  const auto before = probes_by_file(pins());
  ASSERT_FALSE(before.empty());
  auto next = LiveSource::open(pinned());
  ASSERT_TRUE(next) << next.error().text;
  ASSERT_TRUE((*next)->start_job_hooks());
  EXPECT_EQ(probes_by_file(pins()), before) << "nothing was attached a second time";
}

TEST_F(PinnedSource, AFolderThatCannotBeHadIsSaid) {
  LiveOptions elsewhere = pinned();
  elsewhere.pin_dir = scratch() + "/no-bpffs";
  auto source = LiveSource::open(elsewhere);
  ASSERT_TRUE(source) << source.error().text;
  EXPECT_NE((*source)->pins().error.find("not in a bpffs"), std::string::npos)
      << (*source)->pins().error;
}

}  // namespace

}  // namespace cicd::test
