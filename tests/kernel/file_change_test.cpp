// SPDX-License-Identifier: Apache-2.0
// Files that are removed, moved, linked and truncated: every call, and how its names come.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support.h"

namespace cicd::test {

namespace {

constexpr unsigned kRenameExchange = 2;

class ChangeHooks : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::filesystem::create_directories(scratch() + "/dir/sub");
    make("/dir/file");
  }
  void make(const std::string& name) const { std::ofstream(scratch() + name) << "text"; }
  std::string file() const { return scratch() + "/dir/file"; }
  // Runs in the child: the directory for calls with "at".
  int dir() const { return ::open((scratch() + "/dir").c_str(), O_PATH | O_DIRECTORY); }

  // The act fails outside, where its file is not yet or no more: it is done inside only.
  std::vector<SeenPaths> changes(cicd_sample_type type, const Act& act) {
    auto seen = observe_inside(act).paths(type, finished().pid);
    EXPECT_EQ(finished().status, 0);
    return seen;
  }
  bool is_walked() const { return at_functions(EventType::kFileRemove); }
  void expect_path(const SeenPaths& seen, const Name& name) const {
    expect_name(seen.path, seen.base, name, is_walked());
  }
  void expect_other(const SeenPaths& seen, const Name& name) const {
    expect_name(seen.other, seen.other_base, name, is_walked());
  }
  SeenPaths the_change(cicd_sample_type type, const Act& act) {
    const auto seen = changes(type, act);
    EXPECT_EQ(seen.size(), 1u);
    return seen.empty() ? SeenPaths{} : seen[0];
  }
};

using FileRemove = ChangeHooks;
using FileMove = ChangeHooks;
using FileLink = ChangeHooks;

int result_of(long result) { return result < 0 ? errno : 0; }

TEST_F(FileRemove, OnlyOfTheJob) {
  const auto act = [&] {
    const int made = ::open(file().c_str(), O_CREAT | O_RDWR, 0600);
    if (made < 0) return 1;
    return result_of(::unlink(file().c_str()));
  };
  const auto seen = observe(act).paths(CICD_SAMPLE_REMOVE);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
  EXPECT_EQ(seen[0].fixed.header.cgroup_id, job().id());
  expect_path(seen[0], {file(), "", file()});
  EXPECT_EQ(seen[0].base.bytes + seen[0].other.bytes + seen[0].other_base.bytes, "");
  EXPECT_EQ(seen[0].fixed.header.flags, 0);
}

TEST_F(FileRemove, EveryCall) {
  make("/dir/one");
  make("/dir/two");
  for (const char* name : {"/dir/a", "/dir/b"}) ::mkdir((scratch() + name).c_str(), 0700);
  const auto seen = changes(CICD_SAMPLE_REMOVE, [&] {
    const int at = dir();
    if (::chdir((scratch() + "/dir/sub").c_str()) != 0) return 1;
#ifdef SYS_unlink
    if (::syscall(SYS_unlink, "../one") != 0) return 2;
    if (::syscall(SYS_rmdir, "../a") != 0) return 3;
#else
    if (::unlinkat(AT_FDCWD, "../one", 0) != 0) return 2;
    if (::unlinkat(AT_FDCWD, "../a", AT_REMOVEDIR) != 0) return 3;
#endif
    if (::unlinkat(at, "two", 0) != 0) return 4;
    return result_of(::unlinkat(at, "b", AT_REMOVEDIR));
  });
  ASSERT_EQ(seen.size(), 4u);
  const std::string dir = scratch() + "/dir";
  expect_path(seen[0], {"../one", dir + "/sub", dir + "/one"});
  EXPECT_EQ(seen[0].fixed.header.flags, 0);
  expect_path(seen[1], {"../a", dir + "/sub", dir + "/a"});
  EXPECT_EQ(seen[1].fixed.header.flags, CICD_PATHS_FOLDER);
  expect_path(seen[2], {"two", dir, dir + "/two"});
  EXPECT_EQ(seen[2].fixed.header.flags, 0);
  expect_path(seen[3], {"b", dir, dir + "/b"});
  EXPECT_EQ(seen[3].fixed.header.flags, CICD_PATHS_FOLDER);
}

TEST_F(FileRemove, ItsOwnWorkingDirectory) {
  const SeenPaths seen = the_change(CICD_SAMPLE_REMOVE, [&] {
    if (::chdir((scratch() + "/dir/sub").c_str()) != 0) return 1;
    return result_of(::rmdir("../sub"));
  });
  if (is_walked()) {
    expect_path(seen, {"", "", scratch() + "/dir/sub"});
    return;
  }
  EXPECT_EQ(seen.base.path(), scratch() + "/dir/sub");
  EXPECT_EQ(seen.base.flags, CICD_STRING_COMPONENTS | CICD_STRING_DELETED);
}

TEST_F(FileRemove, WhatFailsMakesNothing) {
  const auto samples = observe([&] {
    ::unlink((scratch() + "/none").c_str());
    ::rmdir((scratch() + "/dir").c_str());  // not empty
    ::unlink((scratch() + "/dir").c_str());
    ::syscall(SYS_unlinkat, AT_FDCWD, reinterpret_cast<const char*>(8), 0);
    ::syscall(SYS_unlinkat, 12345, "x", 0);
    const std::string none = scratch() + "/none";
    const bool any = ::rename(none.c_str(), file().c_str()) == 0 ||
                     ::link(none.c_str(), file().c_str()) == 0 ||
                     ::symlink("text", file().c_str()) == 0 || ::truncate(none.c_str(), 0) == 0;
    return any ? 1 : 0;
  });
  EXPECT_EQ(finished().status, 0);
  for (const auto type :
       {CICD_SAMPLE_REMOVE, CICD_SAMPLE_MOVE, CICD_SAMPLE_LINK, CICD_SAMPLE_OPEN}) {
    EXPECT_TRUE(samples.of(type).empty()) << type;
  }
}

TEST_F(FileRemove, BytesAreKept) {
  const std::string name = "new\nline \x1b \xff\xfe";
  make("/dir/" + name);
  const SeenPaths seen =
      the_change(CICD_SAMPLE_REMOVE, [&] { return result_of(::unlinkat(dir(), name.c_str(), 0)); });
  expect_path(seen, {name, scratch() + "/dir", scratch() + "/dir/" + name});
}

TEST_F(FileRemove, FourThousandBytes) {
  make("/dir/last");
  std::string path = scratch();
  while (path.size() < 4000) path += "/dir/..";
  path += "/dir/last";
  const SeenPaths seen =
      the_change(CICD_SAMPLE_REMOVE, [&] { return result_of(::unlink(path.c_str())); });
  expect_path(seen, {path, "", scratch() + "/dir/last"});
  EXPECT_GT(path.size(), 4000u);
}

TEST_F(FileMove, EveryCall) {
  const auto seen = changes(CICD_SAMPLE_MOVE, [&] {
    const int at = dir();
    if (::chdir(scratch().c_str()) != 0) return 1;
#ifdef SYS_rename
    if (::syscall(SYS_rename, file().c_str(), "one") != 0) return 2;
#else
    if (::renameat(AT_FDCWD, file().c_str(), AT_FDCWD, "one") != 0) return 2;
#endif
    if (::renameat(AT_FDCWD, "one", at, "two") != 0) return 3;
    return result_of(::syscall(SYS_renameat2, at, "two", AT_FDCWD, "three", 1));
  });
  ASSERT_EQ(seen.size(), 3u);
  const std::string top = scratch();
  expect_path(seen[0], {file(), "", file()});
  expect_other(seen[0], {"one", top, top + "/one"});
  expect_path(seen[1], {"one", top, top + "/one"});
  expect_other(seen[1], {"two", top + "/dir", top + "/dir/two"});
  expect_path(seen[2], {"two", top + "/dir", top + "/dir/two"});
  expect_other(seen[2], {"three", top, top + "/three"});
  for (const SeenPaths& each : seen) EXPECT_EQ(each.fixed.header.flags, 0);
}

TEST_F(FileMove, Exchange) {
  make("/other");
  const SeenPaths seen = the_change(CICD_SAMPLE_MOVE, [&] {
    return result_of(::syscall(SYS_renameat2, AT_FDCWD, file().c_str(), AT_FDCWD,
                               (scratch() + "/other").c_str(), kRenameExchange));
  });
  EXPECT_EQ(seen.fixed.header.flags, CICD_PATHS_EXCHANGE);
  expect_path(seen, {file(), "", file()});
  expect_other(seen, {scratch() + "/other", "", scratch() + "/other"});
}

TEST_F(FileMove, FourThousandBytesTwice) {
  std::string from = scratch();
  while (from.size() < 4000) from += "/dir/..";
  const std::string to = from + "/dir/to";
  from += "/dir/file";
  const SeenPaths seen =
      the_change(CICD_SAMPLE_MOVE, [&] { return result_of(::rename(from.c_str(), to.c_str())); });
  expect_path(seen, {from, "", file()});
  expect_other(seen, {to, "", scratch() + "/dir/to"});
}

TEST_F(FileLink, HardByEveryCall) {
  ASSERT_EQ(::symlink("file", (scratch() + "/dir/soft").c_str()), 0);
  const auto seen = changes(CICD_SAMPLE_LINK, [&] {
    const int at = dir();
    if (::chdir(scratch().c_str()) != 0) return 1;
#ifdef SYS_link
    if (::syscall(SYS_link, file().c_str(), "one") != 0) return 2;
#else
    if (::linkat(AT_FDCWD, file().c_str(), AT_FDCWD, "one", 0) != 0) return 2;
#endif
    if (::linkat(at, "soft", AT_FDCWD, "two", AT_SYMLINK_FOLLOW) != 0) return 3;
    const int open_file = ::open(file().c_str(), O_RDONLY);
    return result_of(::linkat(open_file, "", at, "three", AT_EMPTY_PATH));
  });
  ASSERT_EQ(seen.size(), 3u);
  const std::string top = scratch();
  expect_path(seen[0], {"one", top, top + "/one"});
  expect_other(seen[0], {file(), "", file()});
  EXPECT_EQ(seen[0].fixed.header.flags, 0);
  expect_other(seen[1], {"soft", top + "/dir", file()});
  EXPECT_EQ(seen[1].fixed.header.flags, is_walked() ? 0 : CICD_PATHS_FOLLOWED);
  expect_path(seen[2], {"three", top + "/dir", top + "/dir/three"});
  expect_other(seen[2], {"", file(), file()});
}

TEST_F(FileLink, SymbolicByEveryCall) {
  const auto seen = changes(CICD_SAMPLE_LINK, [&] {
    const int at = dir();
    if (::chdir(scratch().c_str()) != 0) return 1;
#ifdef SYS_symlink
    if (::syscall(SYS_symlink, "../any text", "one") != 0) return 2;
#else
    if (::symlinkat("../any text", AT_FDCWD, "one") != 0) return 2;
#endif
    return result_of(::symlinkat("/etc/passwd", at, "two"));
  });
  ASSERT_EQ(seen.size(), 2u);
  expect_path(seen[0], {"one", scratch(), scratch() + "/one"});
  EXPECT_EQ(seen[0].other.bytes, "../any text");
  EXPECT_EQ(seen[0].other_base.bytes, "");
  EXPECT_EQ(seen[0].fixed.header.flags, CICD_PATHS_SYMLINK);
  expect_path(seen[1], {"two", scratch() + "/dir", scratch() + "/dir/two"});
  EXPECT_EQ(seen[1].other.bytes, "/etc/passwd");
}

TEST_F(ChangeHooks, TruncateIsAWritingOpen) {
  const auto opens = observe([&] {
                       if (::chdir(scratch().c_str()) != 0) return 1;
                       return result_of(::truncate("dir/file", 1));
                     }).opens();
  EXPECT_EQ(finished().status, 0);
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].fixed.call, CICD_OPEN_TRUNCATE);
  EXPECT_EQ(opens[0].fixed.error, 0);
  EXPECT_EQ(opens[0].fixed.header.flags,
            is_walked() ? CICD_OPEN_WRITE : CICD_OPEN_WRITE | CICD_OPEN_UNRESOLVED);
  expect_name(opens[0].path, opens[0].base, {"dir/file", scratch(), file()}, is_walked());
  struct stat status{};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(opens[0].fixed.inode, is_walked() ? status.st_ino : 0);
}

// Only where the kernel's own functions are looked at: nobody can show another name.
TEST_F(FileRemove, ThroughALinkedFolder) {
  if (!is_walked()) GTEST_SKIP() << "optional: needs trampolines";
  make("/dir/sub/one");
  ASSERT_EQ(::symlink((scratch() + "/dir/sub").c_str(), (scratch() + "/way").c_str()), 0);
  const SeenPaths seen = the_change(CICD_SAMPLE_REMOVE, [&] {
    return result_of(::unlink((scratch() + "/way/../sub/one").c_str()));
  });
  expect_path(seen, {"", "", scratch() + "/dir/sub/one"});
}

}  // namespace

}  // namespace cicd::test
