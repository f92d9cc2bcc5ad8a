// SPDX-License-Identifier: Apache-2.0
// Opens: every call, every way a path can be written, and what becomes of the path where the
// process sees another tree than we do.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

int close_all(int fd) { return fd < 0 ? errno : ::close(fd); }

class OpenHooks : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::filesystem::create_directories(scratch() + "/dir/sub");
    std::ofstream(scratch() + "/dir/file") << "text";
  }
  std::string file() const { return scratch() + "/dir/file"; }

  // Does the act, expects that exactly one open of the process ends so, and returns it.
  SeenOpen the_open(std::string_view path_end, const Act& act) {
    const auto opens = observe(act).opens_of(path_end, finished().pid);
    EXPECT_EQ(opens.size(), 1u) << "opens of ..." << path_end;
    return opens.empty() ? SeenOpen{} : opens[0];
  }
};

TEST_F(OpenHooks, AbsolutePathWithIdentityAndFlags) {
  const SeenOpen seen = the_open("/dir/file", [&] {
    return close_all(
        static_cast<int>(::syscall(SYS_openat, AT_FDCWD, file().c_str(), O_RDONLY | O_CLOEXEC)));
  });
  struct stat status{};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(seen.path.path(), file());
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.base.bytes, "");
  EXPECT_EQ(seen.fixed.inode, status.st_ino);
  EXPECT_EQ(seen.fixed.device, (major(status.st_dev) << 20) | minor(status.st_dev));
  EXPECT_EQ(seen.fixed.open_flags, static_cast<unsigned>(O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(seen.fixed.call, CICD_OPEN_OPENAT);
  EXPECT_EQ(seen.fixed.error, 0);
  EXPECT_EQ(seen.fixed.header.flags, CICD_OPEN_READ);
  EXPECT_EQ(seen.fixed.header.cgroup_id, job().id());
}

TEST_F(OpenHooks, ReadAndWriteFollowTheFile) {
  const auto flags_of = [&](int how) {
    return the_open("/dir/file", [&, how] { return close_all(::open(file().c_str(), how)); })
        .fixed.header.flags;
  };
  EXPECT_EQ(flags_of(O_RDONLY), CICD_OPEN_READ);
  EXPECT_EQ(flags_of(O_WRONLY), CICD_OPEN_WRITE);
  EXPECT_EQ(flags_of(O_RDWR), CICD_OPEN_READ | CICD_OPEN_WRITE);
  EXPECT_EQ(flags_of(O_PATH), 0);
}

TEST_F(OpenHooks, Directory) {
  const SeenOpen seen = the_open("/dir/sub", [&] {
    return close_all(::open((scratch() + "/dir/sub").c_str(), O_RDONLY | O_DIRECTORY));
  });
  EXPECT_EQ(seen.fixed.header.flags, CICD_OPEN_READ | CICD_OPEN_DIRECTORY);
}

TEST_F(OpenHooks, RootDirectory) {
  const auto opens = observe([] { return close_all(::open("/", O_RDONLY)); }).opens();
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].path.bytes, "");
  EXPECT_EQ(opens[0].path.path(), "/");
}

TEST_F(OpenHooks, RelativeRightAfterChdir) {
  const SeenOpen seen = the_open("/dir/file", [&] {
    if (::chdir((scratch() + "/dir/sub").c_str()) != 0) return 1;
    return close_all(::open("../file", O_RDONLY));
  });
  EXPECT_EQ(seen.path.path(), file());
}

TEST_F(OpenHooks, RelativeToADirectoryDescriptor) {
  const std::string dir = scratch() + "/dir";
  const SeenOpen seen = the_open("/dir/file", [&] {
    const int directory = ::open(dir.c_str(), O_PATH);
    if (directory < 0) return 1;
    return close_all(::openat(directory, "file", O_RDONLY));
  });
  EXPECT_EQ(seen.path.path(), file());
}

TEST_F(OpenHooks, SymlinkIsResolved) {
  ASSERT_EQ(::symlink(file().c_str(), (scratch() + "/link").c_str()), 0);
  const SeenOpen seen = the_open(
      "/dir/file", [&] { return close_all(::open((scratch() + "/link").c_str(), O_RDONLY)); });
  EXPECT_EQ(seen.path.path(), file());
}

TEST_F(OpenHooks, OpenAndCreatOfOldTimes) {
#ifdef SYS_open
  const SeenOpen opened = the_open("/dir/file", [&] {
    return close_all(static_cast<int>(::syscall(SYS_open, file().c_str(), O_RDWR)));
  });
  EXPECT_EQ(opened.fixed.call, CICD_OPEN_OPEN);
  EXPECT_EQ(opened.fixed.open_flags, static_cast<unsigned>(O_RDWR));
  const SeenOpen created = the_open("/dir/new", [&] {
    return close_all(
        static_cast<int>(::syscall(SYS_creat, (scratch() + "/dir/new").c_str(), 0600)));
  });
  EXPECT_EQ(created.fixed.call, CICD_OPEN_CREAT);
  EXPECT_EQ(created.fixed.open_flags, static_cast<unsigned>(O_CREAT | O_WRONLY | O_TRUNC));
  EXPECT_EQ(created.fixed.header.flags, CICD_OPEN_WRITE);
#else
  GTEST_SKIP() << kNotInThisKernel << "arm64 has neither open nor creat";
#endif
}

TEST_F(OpenHooks, Openat2ReadsItsFlagsFromUserMemory) {
  const auto call = [&](const char* path) {
    open_how how{};
    how.flags = O_RDWR | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS;
    return close_all(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how))));
  };
  const SeenOpen seen = the_open("/dir/file", [&] { return call(file().c_str()); });
  EXPECT_EQ(seen.fixed.call, CICD_OPEN_OPENAT2);
  EXPECT_EQ(seen.fixed.open_flags, static_cast<unsigned>(O_RDWR | O_CLOEXEC));
  EXPECT_EQ(seen.fixed.header.flags, CICD_OPEN_READ | CICD_OPEN_WRITE);
  const SeenOpen failed =
      the_open("/dir/none", [&] { return call((scratch() + "/dir/none").c_str()); });
  EXPECT_EQ(failed.fixed.error, ENOENT);
  EXPECT_EQ(failed.fixed.open_flags, static_cast<unsigned>(O_RDWR | O_CLOEXEC));
}

TEST_F(OpenHooks, OpenByHandle) {
  alignas(file_handle) char buffer[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(buffer);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  ASSERT_EQ(::name_to_handle_at(AT_FDCWD, file().c_str(), handle, &mount_id, 0), 0);
  const int mount = ::open(scratch().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const SeenOpen seen = the_open(
      "/dir/file", [&] { return close_all(::open_by_handle_at(mount, handle, O_RDONLY)); });
  EXPECT_EQ(seen.path.path(), file());
  EXPECT_EQ(seen.fixed.call, CICD_OPEN_BY_HANDLE_AT);

  handle->f_handle[0] = static_cast<unsigned char>(~handle->f_handle[0]);
  handle->f_handle[1] = static_cast<unsigned char>(~handle->f_handle[1]);
  const auto failed =
      observe([&] { return close_all(::open_by_handle_at(mount, handle, O_RDONLY)); }).opens();
  ::close(mount);
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].fixed.error, ESTALE);
  EXPECT_EQ(failed[0].path.bytes, "");
  EXPECT_EQ(failed[0].base.path(), scratch());
}

TEST_F(OpenHooks, DeletedFileThroughProc) {
  const auto opens = observe([&] {
                       const std::string path = scratch() + "/dir/doomed";
                       const int first = ::open(path.c_str(), O_CREAT | O_RDWR, 0600);
                       ::unlink(path.c_str());
                       const std::string proc = "/proc/self/fd/" + std::to_string(first);
                       return close_all(::open(proc.c_str(), O_RDONLY));
                     }).opens_of("/dir/doomed", finished().pid);
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].path.flags & CICD_STRING_DELETED, 0u) << "seen when it returned";
  EXPECT_EQ(opens[1].path.flags, CICD_STRING_COMPONENTS | CICD_STRING_DELETED);
  EXPECT_EQ(opens[1].path.path(), scratch() + "/dir/doomed");
}

TEST_F(OpenHooks, FilesOutsideEveryPathAreNamedForWhatTheyAre) {
  const auto open_again = [](int fd) {
    return ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_NONBLOCK);
  };
  const auto opens = observe([&] {
                       int pipe[2];
                       if (::pipe(pipe) != 0) return 1;
                       if (close_all(open_again(pipe[0])) != 0) return 2;
                       if (close_all(open_again(::memfd_create("mem", 0))) != 0) return 3;
                       return close_all(::open("/proc/self/ns/net", O_RDONLY));
                     }).opens();
  EXPECT_EQ(finished().status, 0);
  ASSERT_EQ(opens.size(), 3u);
  EXPECT_EQ(opens[0].path.flags, CICD_STRING_PIPE);
  EXPECT_EQ(opens[1].path.flags, CICD_STRING_MEMFD);
  EXPECT_EQ(opens[1].path.bytes, "memfd:mem");
  EXPECT_EQ(opens[2].path.flags, CICD_STRING_NAMESPACE);
}

TEST_F(OpenHooks, AFileNamedLikeAMemfdIsAFile) {
  const SeenOpen seen = the_open("/memfd:x", [] {
    if (::unshare(CLONE_NEWNS) != 0) return 1;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("none", "/mnt", "tmpfs", 0, nullptr) != 0) return 2;
    return close_all(::open("/mnt/memfd:x", O_CREAT | O_RDWR, 0600));
  });
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.path.path(), "/mnt/memfd:x");
}

// Trees of a process's own. Each in a mount namespace that ends with the process.
class OpenInMounts : public OpenHooks {
 protected:
  static int private_mounts() {
    if (::unshare(CLONE_NEWNS) != 0) return -1;
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  }
};

TEST_F(OpenInMounts, BindMount) {
  std::filesystem::create_directories(scratch() + "/bound/here");
  const SeenOpen seen = the_open("/here/file", [&] {
    const std::string target = scratch() + "/bound/here";
    if (private_mounts() != 0) return 1;
    if (::mount((scratch() + "/dir").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      return 2;
    }
    return close_all(::open((target + "/file").c_str(), O_RDONLY));
  });
  EXPECT_EQ(seen.path.path(), scratch() + "/bound/here/file");
}

TEST_F(OpenInMounts, BindMountOfOneFileAndMountsOnTop) {
  const SeenOpen seen = the_open("/dir/file", [&] {
    if (private_mounts() != 0) return 1;
    for (int i = 0; i < 3; ++i) {
      if (::mount("/etc/passwd", file().c_str(), nullptr, MS_BIND, nullptr) != 0) return 2;
    }
    return close_all(::open(file().c_str(), O_RDONLY));
  });
  EXPECT_EQ(seen.path.path(), file());
}

TEST_F(OpenInMounts, Overlay) {
  for (const char* name : {"/lower", "/upper", "/work", "/merged"}) {
    std::filesystem::create_directories(scratch() + name + "/d");
  }
  std::ofstream(scratch() + "/lower/d/layered") << "x";
  const SeenOpen seen = the_open("/merged/d/layered", [&] {
    if (private_mounts() != 0) return 1;
    if (::mount("none", (scratch() + "/work").c_str(), "tmpfs", 0, nullptr) != 0) return 2;
    for (const char* name : {"/work/upper", "/work/work"}) {
      ::mkdir((scratch() + name).c_str(), 0755);
    }
    const std::string options = "lowerdir=" + scratch() + "/lower,upperdir=" + scratch() +
                                "/work/upper,workdir=" + scratch() + "/work/work";
    if (::mount("overlay", (scratch() + "/merged").c_str(), "overlay", 0, options.c_str()) != 0) {
      return 3;
    }
    return close_all(::open((scratch() + "/merged/d/layered").c_str(), O_RDWR));
  });
  EXPECT_EQ(finished().status, 0);
  EXPECT_EQ(seen.path.path(), scratch() + "/merged/d/layered");
}

TEST_F(OpenInMounts, ChrootSeesItsOwnRoot) {
  const auto opens = observe([&] {
                       if (::chroot(scratch().c_str()) != 0 || ::chdir("/") != 0) return 1;
                       if (close_all(::open("/dir/file", O_RDONLY)) != 0) return 2;
                       return close_all(::open("dir/none", O_RDONLY)) == ENOENT ? 0 : 3;
                     }).opens();
  EXPECT_EQ(finished().status, 0);
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].path.path(), "/dir/file");
  EXPECT_EQ(opens[1].path.bytes, "dir/none");
  EXPECT_EQ(opens[1].base.path(), "/");
}

// Failed opens: what was asked for, and where it starts.
class OpenFailed : public OpenHooks {
 protected:
  void expect_failed(const SeenOpen& seen, int error, int flags) {
    EXPECT_EQ(seen.fixed.error, error);
    EXPECT_EQ(seen.fixed.inode, 0u);
    EXPECT_EQ(seen.fixed.header.flags, flags);
    EXPECT_EQ(seen.path.flags, 0u);
  }
};

TEST_F(OpenFailed, AbsoluteNotThere) {
  const SeenOpen seen = the_open("/none", [&] {
    return close_all(::open((scratch() + "/none").c_str(), O_RDWR | O_CLOEXEC));
  });
  expect_failed(seen, ENOENT, CICD_OPEN_READ | CICD_OPEN_WRITE);
  EXPECT_EQ(seen.path.bytes, scratch() + "/none");
  EXPECT_EQ(seen.base.bytes, "");
  EXPECT_EQ(seen.fixed.open_flags, static_cast<unsigned>(O_RDWR | O_CLOEXEC));
}

TEST_F(OpenFailed, RelativeToCwd) {
  const SeenOpen seen = the_open("../x/./none", [&] {
    if (::chdir((scratch() + "/dir").c_str()) != 0) return 0;
    return close_all(::open("../x/./none", O_WRONLY));
  });
  expect_failed(seen, ENOENT, CICD_OPEN_WRITE);
  EXPECT_EQ(seen.path.bytes, "../x/./none");
  EXPECT_EQ(seen.base.path(), scratch() + "/dir");
}

TEST_F(OpenFailed, RelativeToADescriptor) {
  const int directory = ::open((scratch() + "/dir/sub").c_str(), O_PATH | O_CLOEXEC);
  const SeenOpen seen =
      the_open("none", [&] { return close_all(::openat(directory, "none", O_RDONLY)); });
  ::close(directory);
  expect_failed(seen, ENOENT, CICD_OPEN_READ);
  EXPECT_EQ(seen.base.path(), scratch() + "/dir/sub");
}

TEST_F(OpenFailed, NotADirectory) {
  const SeenOpen seen = the_open(
      "/file/below", [&] { return close_all(::open((file() + "/below").c_str(), O_RDONLY)); });
  expect_failed(seen, ENOTDIR, CICD_OPEN_READ);
}

TEST_F(OpenFailed, NotAllowed) {
  ASSERT_EQ(::chmod(file().c_str(), 0600), 0);
  const SeenOpen seen = the_open("/dir/file", [&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 0;
    return close_all(::open(file().c_str(), O_RDONLY));
  });
  expect_failed(seen, EACCES, CICD_OPEN_READ);
}

TEST_F(OpenFailed, BadPointerAndBadDescriptor) {
  const auto opens = observe([] {
                       ::syscall(SYS_openat, AT_FDCWD, reinterpret_cast<const char*>(8), O_RDONLY);
                       ::syscall(SYS_openat, 12345, "x", O_RDONLY);
                       return 0;
                     }).opens();
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].fixed.error, EFAULT);
  EXPECT_EQ(opens[0].path.flags, CICD_STRING_FAULT);
  EXPECT_EQ(opens[1].fixed.error, EBADF);
  EXPECT_EQ(opens[1].path.bytes, "x");
  EXPECT_EQ(opens[1].base.bytes, "");
}

// Limits.
class OpenLimits : public OpenHooks {
 protected:
  // Makes nested directories of `names` and opens `leaf` in the last; runs in the child.
  int open_deep(const std::vector<std::string>& names, const char* leaf) const {
    if (::chdir(scratch().c_str()) != 0) return 1;
    for (const std::string& name : names) {
      if (::mkdir(name.c_str(), 0755) != 0 && errno != EEXIST) return 2;
      if (::chdir(name.c_str()) != 0) return 3;
    }
    return close_all(::open(leaf, O_CREAT | O_RDWR, 0600));
  }
  std::string deep_path(const std::vector<std::string>& names, const char* leaf) const {
    std::string out = scratch();
    for (const std::string& name : names) out += "/" + name;
    return out + "/" + leaf;
  }
};

TEST_F(OpenLimits, ThreeThousandBytesDeep) {
  const std::vector<std::string> names(15, std::string(200, 'd'));
  const SeenOpen seen = the_open("/leaf", [&] { return open_deep(names, "leaf"); });
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.path.path(), deep_path(names, "leaf"));
  EXPECT_GT(seen.path.path().size(), 3000u);
}

TEST_F(OpenLimits, LongerThanTheLimitKeepsTheLeafAndIsMarked) {
  const std::vector<std::string> names(25, std::string(200, 'd'));
  const SeenOpen seen = the_open("/leaf", [&] { return open_deep(names, "leaf"); });
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS | CICD_STRING_TRUNCATED);
  EXPECT_TRUE(deep_path(names, "leaf").ends_with(seen.path.path()));
  EXPECT_LE(seen.path.bytes.size(), std::size_t{CICD_PATH_MAX});
  EXPECT_GT(seen.path.bytes.size() + 201, std::size_t{CICD_PATH_MAX}) << "as much as fits";
}

TEST_F(OpenLimits, ManyComponents) {
  const std::vector<std::string> names(190, "n");
  const SeenOpen seen = the_open("/leaf", [&] { return open_deep(names, "leaf"); });
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.path.path(), deep_path(names, "leaf"));
}

TEST_F(OpenLimits, TooManyComponentsAreMarked) {
  const std::vector<std::string> names(300, "n");
  const SeenOpen seen = the_open("/leaf", [&] { return open_deep(names, "leaf"); });
  EXPECT_EQ(seen.path.flags, CICD_STRING_COMPONENTS | CICD_STRING_TRUNCATED);
  EXPECT_TRUE(deep_path(names, "leaf").ends_with(seen.path.path()));
}

TEST_F(OpenLimits, FailedLongPathIsWhole) {
  std::string path = scratch() + "/none";
  while (path.size() < 4090) path += "/x";
  const auto opens =
      observe([&] { return close_all(::open(path.c_str(), O_RDONLY)); }).opens(finished().pid);
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_EQ(opens[0].path.bytes, path);
  EXPECT_EQ(opens[0].path.flags, 0u);

  path.append(5000, 'y');
  const auto longer =
      observe([&] { return close_all(::open(path.c_str(), O_RDONLY)); }).opens(finished().pid);
  ASSERT_EQ(longer.size(), 1u);
  EXPECT_EQ(longer[0].fixed.error, ENAMETOOLONG);
  EXPECT_EQ(longer[0].path.flags, CICD_STRING_TRUNCATED);
  EXPECT_EQ(longer[0].path.bytes, path.substr(0, CICD_PATH_MAX - 1));
}

}  // namespace

}  // namespace cicd::test
