// SPDX-License-Identifier: Apache-2.0
// --strict: 32-bit system calls (call32.h), which the syscall tracepoints do not see.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "call32.h"
#include "support.h"

namespace cicd::test {

namespace {

struct SeenPaths {
  cicd_sample_paths fixed;
  SeenString path, base, other, other_base;
};

class StrictHooks : public HookTest {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_call32(); !why.empty()) GTEST_SKIP() << why;
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::ofstream(file()) << "text";
  }
  LiveOptions options() const override {
    LiveOptions options;
    options.strict = true;
    options.backend_kind = "syscall";  // trampolines see these calls without it
    return options;
  }
  std::string file() const { return scratch() + "/file"; }

  Samples seen_of(const Act& act) {
    Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0) << "exit " << WEXITSTATUS(finished().status);
    return samples;
  }
  std::vector<SeenOpen> compat_opens(const Act& act) {
    auto opens = seen_of(act).opens();
    std::erase_if(opens, [](const SeenOpen& open) { return open.fixed.call != CICD_OPEN_COMPAT; });
    return opens;
  }
  SeenPaths the_paths(cicd_sample_type type, const Act& act) {
    using T = cicd_sample_paths;
    std::vector<SeenPaths> out;
    for (const Seen& seen : seen_of(act).of(type)) {
      auto strings = seen.strings<T>({&T::path, &T::base, &T::other, &T::other_base});
      const SeenPaths paths{seen.fixed<T>(), strings[0], strings[1], strings[2], strings[3]};
      if ((paths.fixed.header.flags & CICD_PATHS_COMPAT) != 0) out.push_back(paths);
    }
    EXPECT_EQ(out.size(), 1u);
    return out.empty() ? SeenPaths{} : out[0];
  }
};

TEST_F(StrictHooks, OpenIsWalkedLikeANativeOne) {
  const auto opens =
      compat_opens([&] { return call32(kOpen32, low(file()), O_RDWR | O_CLOEXEC) >= 0 ? 0 : 1; });
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].path.path(), file());
  EXPECT_EQ(opens[0].path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(opens[0].fixed.header.flags, CICD_OPEN_READ | CICD_OPEN_WRITE);
  EXPECT_EQ(opens[0].fixed.open_flags, static_cast<unsigned>(O_RDWR | O_CLOEXEC));
  EXPECT_EQ(opens[0].fixed.error, 0);
  struct stat status{};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(opens[0].fixed.inode, status.st_ino);
}

TEST_F(StrictHooks, RelativeOpenatAndCreat) {
  const auto opens = compat_opens([&] {
    const int directory = ::open(scratch().c_str(), O_PATH);
    if (call32(kOpenat32, directory, low("file"), O_RDONLY) < 0) return 1;
    if (::chdir(scratch().c_str()) != 0) return 2;
    return call32(kCreat32, low("made"), 0600) >= 0 ? 0 : 3;
  });
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].path.path(), file());
  EXPECT_EQ(opens[1].path.path(), scratch() + "/made");
  EXPECT_EQ(opens[1].fixed.header.flags, CICD_OPEN_WRITE);
}

TEST_F(StrictHooks, FailedOpenNamesWhatWasAskedFor) {
  const auto opens = compat_opens([&] {
    if (::chdir(scratch().c_str()) != 0) return 1;
    return call32(kOpen32, low("none"), O_RDONLY) == -ENOENT ? 0 : 2;
  });
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].fixed.error, ENOENT);
  EXPECT_EQ(opens[0].path.bytes, "none");
  EXPECT_EQ(opens[0].base.path(), scratch());
}

TEST_F(StrictHooks, Remove) {
  const std::string doomed = scratch() + "/doomed";
  const auto unlinked = the_paths(CICD_SAMPLE_REMOVE, [&] {
    if (::mknod(doomed.c_str(), S_IFREG | 0600, 0) != 0) return 1;
    return call32(kUnlink32, low(doomed)) == 0 ? 0 : 2;
  });
  EXPECT_EQ(unlinked.path.bytes, doomed);
  EXPECT_EQ(unlinked.fixed.header.flags, CICD_PATHS_COMPAT);
  const auto removed = the_paths(CICD_SAMPLE_REMOVE, [&] {
    if (::mkdir(doomed.c_str(), 0700) != 0) return 1;
    return call32(kRmdir32, low(doomed)) == 0 ? 0 : 2;
  });
  EXPECT_EQ(removed.fixed.header.flags, CICD_PATHS_COMPAT | CICD_PATHS_FOLDER);
  const auto at = the_paths(CICD_SAMPLE_REMOVE, [&] {
    if (::mkdir(doomed.c_str(), 0700) != 0 || ::chdir(scratch().c_str()) != 0) return 1;
    return call32(kUnlinkat32, AT_FDCWD, low("doomed"), AT_REMOVEDIR) == 0 ? 0 : 2;
  });
  EXPECT_EQ(at.fixed.header.flags, CICD_PATHS_COMPAT | CICD_PATHS_FOLDER);
  EXPECT_EQ(at.path.bytes, "doomed");
  EXPECT_EQ(at.base.path(), scratch());
}

TEST_F(StrictHooks, Move) {
  const std::string from = scratch() + "/from", to = scratch() + "/to";
  for (const bool is_at : {false, true}) {
    const auto moved = the_paths(CICD_SAMPLE_MOVE, [&] {
      if (::mknod(from.c_str(), S_IFREG | 0600, 0) != 0) return 1;
      const long result = is_at ? call32(kRenameat2_32, AT_FDCWD, low(from), AT_FDCWD, low(to))
                                : call32(kRename32, low(from), low(to));
      return result == 0 ? 0 : 2;
    });
    EXPECT_EQ(moved.path.bytes, from);
    EXPECT_EQ(moved.other.bytes, to);
  }
}

TEST_F(StrictHooks, ExchangeAndTruncate) {
  const std::string other = scratch() + "/other";
  const auto exchanged = the_paths(CICD_SAMPLE_MOVE, [&] {
    ::unlink(other.c_str());
    if (::mknod(other.c_str(), S_IFREG | 0600, 0) != 0) return 1;
    constexpr long kExchange = 2;
    const long done = call32(kRenameat2_32, AT_FDCWD, low(file()), AT_FDCWD, low(other), kExchange);
    return done == 0 ? 0 : 2;
  });
  EXPECT_EQ(exchanged.fixed.header.flags, CICD_PATHS_COMPAT | CICD_PATHS_EXCHANGE);
  auto opens = seen_of([&] { return call32(kTruncate32, low(file()), 0) == 0 ? 0 : 1; }).opens();
  std::erase_if(opens, [](const SeenOpen& open) { return open.fixed.call != CICD_OPEN_TRUNCATE; });
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].path.bytes, file());
  EXPECT_EQ(opens[0].fixed.header.flags, CICD_OPEN_WRITE | CICD_OPEN_UNRESOLVED);
}

// Its own memory is nobody's business, that of its parent is.
TEST_F(StrictHooks, MemoryOfAnotherProcess) {
  const std::string memory = "/proc/" + std::to_string(::getpid()) + "/mem";
  const auto samples = seen_of([&] {
    if (call32(kOpen32, low("/proc/self/mem"), O_RDONLY) < 0) return 1;
    return call32(kOpen32, low(memory), O_RDONLY) >= 0 ? 0 : 2;
  });
  const auto reads = samples.of(CICD_SAMPLE_MEMORY);
  ASSERT_EQ(reads.size(), 1u);
  const auto fixed = reads[0].fixed<cicd_sample_target>();
  EXPECT_EQ(fixed.value, static_cast<unsigned>(CICD_MEMORY_PROC_MEM));
  EXPECT_EQ(fixed.target_pid, static_cast<unsigned>(::getpid()));
}

TEST_F(StrictHooks, Links) {
  const std::string made = scratch() + "/made";
  const auto hard = the_paths(CICD_SAMPLE_LINK, [&] {
    ::unlink(made.c_str());
    return call32(kLink32, low(file()), low(made)) == 0 ? 0 : 1;
  });
  EXPECT_EQ(hard.path.bytes, made);
  EXPECT_EQ(hard.other.bytes, file());
  const auto symbolic = the_paths(CICD_SAMPLE_LINK, [&] {
    ::unlink(made.c_str());
    return call32(kSymlink32, low("anything"), low(made)) == 0 ? 0 : 1;
  });
  EXPECT_EQ(symbolic.fixed.header.flags, CICD_PATHS_COMPAT | CICD_PATHS_SYMLINK);
  EXPECT_EQ(symbolic.path.bytes, made);
  EXPECT_EQ(symbolic.other.bytes, "anything");
  EXPECT_EQ(symbolic.other_base.bytes, "");
}

TEST_F(StrictHooks, WhatFailedIsNoRemove) {
  const Samples samples =
      seen_of([&] { return call32(kUnlink32, low(scratch() + "/none")) == -ENOENT ? 0 : 1; });
  EXPECT_TRUE(samples.of(CICD_SAMPLE_REMOVE).empty());
}

// Native calls come by the tracepoints; numbers of the one mean other calls in the other.
TEST_F(StrictHooks, NativeCallsAreReportedOnce) {
  const auto opens = seen_of([&] {
                       const int fd = ::open(file().c_str(), O_RDONLY);
                       struct stat status{};
                       return ::fstat(fd, &status);  // number 5, as the 32-bit open
                     }).opens_of("/file");
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].fixed.call, CICD_OPEN_OPENAT);
}

TEST_F(StrictHooks, CoverageTells) {
  const auto limits = [](const LiveSource& source) {
    for (const Coverage& each : source.coverage()) {
      if (each.type == EventType::kFileOpen) return each.limits;
    }
    return std::string();
  };
  LiveOptions plain;
  plain.backend_kind = "syscall";
  const auto ordinary = LiveSource::open(plain);
  ASSERT_TRUE(ordinary) << ordinary.error().text;
  EXPECT_EQ(limits(source()).find("32-bit"), std::string::npos) << limits(source());
  EXPECT_NE(limits(**ordinary).find("32-bit"), std::string::npos);
}

// With trampolines --strict brings nothing more, and nothing twice.
TEST_F(HookTest, WithoutStrictA32BitOpenIsSeenByTrampolinesOnly) {
  if (const std::string why = why_no_call32(); !why.empty()) GTEST_SKIP() << why;
  std::ofstream(scratch() + "/file") << "text";
  const Samples samples =
      observe([&] { return call32(kOpen32, low(scratch() + "/file"), O_RDONLY) >= 0 ? 0 : 1; });
  EXPECT_EQ(finished().status, 0);
  const auto opens = samples.opens_of("/file");
  ASSERT_EQ(opens.size(), at_functions(EventType::kFileOpen) ? 1u : 0u);
  for (const SeenOpen& each : opens) EXPECT_EQ(each.fixed.call, CICD_OPEN_COMPAT);
}

}  // namespace

}  // namespace cicd::test
