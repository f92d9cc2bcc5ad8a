// SPDX-License-Identifier: Apache-2.0
// A kernel side that is pinned: it goes on when the process that loaded it is killed, the next one
// takes it over without a gap where this kernel can pin everything, and one that ends leaves
// nothing.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

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
