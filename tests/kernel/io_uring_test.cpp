// SPDX-License-Identifier: Apache-2.0
// io_uring by its raw system calls: files by name and the network, with and without the kernel's
// own submitting thread.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "support.h"
#include "this_kernel.h"
#include "uring.h"

namespace cicd::test {

namespace {

io_uring_sqe open_request(int directory, const char* path, __u32 flags) {
  io_uring_sqe entry = request(IORING_OP_OPENAT, directory, path, 0600);
  entry.open_flags = flags;
  return entry;
}

struct SeenRequest {
  cicd_sample_io_uring fixed;
  SeenString path, base;
};

class IoUringHooks : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::ofstream(scratch() + "/file") << "text";
  }
  std::string file() const { return scratch() + "/file"; }
  // Before 6.0 an operation has no struct of its own, and only its kind is told; the coverage of
  // io_uring_op says so among its limits.
  static bool names_are_told() { return kernel_has_struct("io_cmd_data"); }
  static std::string no_names() {
    return std::string(kNotInThisKernel) + "paths and addresses of io_uring requests";
  }

  std::vector<SeenRequest> requests(const Act& act) {
    using T = cicd_sample_io_uring;
    const Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0) << "exit " << WEXITSTATUS(finished().status);
    std::vector<SeenRequest> out;
    for (const Seen& seen : samples.of(CICD_SAMPLE_IO_URING, finished().pid)) {
      auto strings = seen.strings<T>({&T::path, &T::base});
      out.push_back({seen.fixed<T>(), strings[0], strings[1]});
    }
    connects_ = samples.fixed<cicd_sample_connect>(CICD_SAMPLE_CONNECT, finished().pid);
    return out;
  }
  // What one request gives; `wanted` is its result.
  SeenRequest the_request(const io_uring_sqe& entry, unsigned ring_flags = 0, int at_least = 0) {
    const auto seen = requests([&] {
      Ring ring(ring_flags);
      if (!ring.ok()) return 1;
      return ring.run(entry) >= at_least ? 0 : 2;
    });
    EXPECT_EQ(seen.size(), 1u);
    return seen.empty() ? SeenRequest{} : seen[0];
  }

  std::vector<cicd_sample_connect> connects_;
};

TEST_F(IoUringHooks, Openat) {
  const std::string path = file();
  const auto seen = the_request(open_request(AT_FDCWD, path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(seen.fixed.opcode, static_cast<unsigned>(IORING_OP_OPENAT));
  EXPECT_EQ(seen.fixed.header.cgroup_id, job().id());
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen.path.bytes, path);
  EXPECT_EQ(seen.base.bytes, "");
  // The kernel adds O_LARGEFILE.
  EXPECT_EQ(seen.fixed.open_flags & (O_ACCMODE | O_CLOEXEC),
            static_cast<unsigned>(O_RDWR | O_CLOEXEC));
  EXPECT_EQ(seen.fixed.family, 0);
}

TEST_F(IoUringHooks, RelativeToADescriptor) {
  const int directory = ::open(scratch().c_str(), O_PATH | O_CLOEXEC);
  const auto seen = the_request(open_request(directory, "file", O_RDONLY));
  ::close(directory);
  EXPECT_EQ(seen.fixed.opcode, static_cast<unsigned>(IORING_OP_OPENAT));
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen.path.bytes, "file");
  EXPECT_EQ(seen.base.path(), scratch());
}

TEST_F(IoUringHooks, Openat2) {
  const std::string path = file();
  open_how how{};
  how.flags = O_WRONLY;
  const auto seen = the_request(request(IORING_OP_OPENAT2, AT_FDCWD, path.c_str(), sizeof(how),
                                        reinterpret_cast<__u64>(&how)));
  EXPECT_EQ(seen.fixed.opcode, static_cast<unsigned>(IORING_OP_OPENAT2));
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen.path.bytes, path);
  EXPECT_EQ(seen.fixed.open_flags & O_ACCMODE, static_cast<unsigned>(O_WRONLY));
}

TEST_F(IoUringHooks, BySubmittingThreadOfTheKernel) {
  const std::string path = file();
  const auto seen =
      the_request(open_request(AT_FDCWD, path.c_str(), O_RDONLY), IORING_SETUP_SQPOLL);
  EXPECT_EQ(seen.fixed.header.pid, static_cast<unsigned>(finished().pid));
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen.path.bytes, path);
}

TEST_F(IoUringHooks, NamesOfFiles) {
  if (!Ring().knows({IORING_OP_RENAMEAT, IORING_OP_LINKAT, IORING_OP_SYMLINKAT, IORING_OP_MKDIRAT,
                     IORING_OP_UNLINKAT})) {
    GTEST_SKIP() << kNotInThisKernel << "io_uring operations that change names of files";
  }
  const std::string at = scratch() + "/";
  const auto seen = requests([&] {
    const std::string one = at + "one", two = at + "two", dir = at + "dir", link = at + "link";
    Ring ring;
    if (!ring.ok()) return 1;
    if (::mknod(one.c_str(), S_IFREG | 0600, 0) != 0) return 2;
    const auto second = [](const std::string& name) {
      return reinterpret_cast<__u64>(name.c_str());
    };
    const int here = AT_FDCWD;
    if (ring.run(request(IORING_OP_RENAMEAT, here, one.c_str(), here, second(two))) != 0) return 3;
    if (ring.run(request(IORING_OP_LINKAT, here, two.c_str(), here, second(one))) != 0) return 4;
    if (ring.run(request(IORING_OP_SYMLINKAT, here, "target", 0, second(link))) != 0) return 5;
    if (ring.run(request(IORING_OP_MKDIRAT, here, dir.c_str(), 0700)) != 0) return 6;
    // So that it can be done again.
    for (const std::string& name : {one, two, link}) {
      if (ring.run(request(IORING_OP_UNLINKAT, here, name.c_str())) != 0) return 7;
    }
    return ::rmdir(dir.c_str());
  });
  const std::pair<unsigned, std::string> wanted[] = {
      {IORING_OP_RENAMEAT, at + "one"},   {IORING_OP_LINKAT, at + "one"},
      {IORING_OP_SYMLINKAT, at + "link"}, {IORING_OP_MKDIRAT, at + "dir"},
      {IORING_OP_UNLINKAT, at + "one"},   {IORING_OP_UNLINKAT, at + "two"},
      {IORING_OP_UNLINKAT, at + "link"}};
  ASSERT_EQ(seen.size(), std::size(wanted));
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].fixed.opcode, wanted[i].first);
    if (names_are_told()) {
      EXPECT_EQ(seen[i].path.bytes, wanted[i].second);
    }
  }
}

TEST_F(IoUringHooks, ConnectIsAlsoAConnect) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);  // nobody is there
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto seen = requests([&] {
    Ring ring;
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    if (!ring.ok() || socket < 0) return 1;
    const int result = ring.run(request(IORING_OP_CONNECT, socket, &address, 0, sizeof(address)));
    return result == -ECONNREFUSED ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].fixed.opcode, static_cast<unsigned>(IORING_OP_CONNECT));
  ASSERT_EQ(connects_.size(), 1u) << "network_connect of the cgroup hook";
  EXPECT_EQ(connects_[0].remote_port, 9);
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen[0].fixed.family, AF_INET);
  EXPECT_EQ(seen[0].fixed.remote_port, 9);
  EXPECT_EQ(std::memcmp(seen[0].fixed.remote_ip, &address.sin_addr, 4), 0);
}

TEST_F(IoUringHooks, ConnectOfIpv6) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(9);
  ASSERT_EQ(::inet_pton(AF_INET6, "::1", &address.sin6_addr), 1);
  const auto seen = requests([&] {
    Ring ring;
    const int socket = ::socket(AF_INET6, SOCK_STREAM, 0);
    if (!ring.ok() || socket < 0) return 1;
    ring.run(request(IORING_OP_CONNECT, socket, &address, 0, sizeof(address)));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
  if (!names_are_told()) GTEST_SKIP() << no_names();
  EXPECT_EQ(seen[0].fixed.family, AF_INET6);
  EXPECT_EQ(std::memcmp(seen[0].fixed.remote_ip, &address.sin6_addr, 16), 0);
}

TEST_F(IoUringHooks, SocketsAndTheFirstSendOfEach) {
  if (!Ring().knows({IORING_OP_SOCKET})) {
    GTEST_SKIP() << kNotInThisKernel << "the io_uring operation that makes sockets";
  }
  const auto seen = requests([] {
    Ring ring;
    int pair[2];
    if (!ring.ok() || ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    const int made = ring.run(request(IORING_OP_SOCKET, AF_INET, nullptr, 0, SOCK_DGRAM));
    if (made < 0) return 2;
    for (int i = 0; i < 5; ++i) {
      if (ring.run(request(IORING_OP_SEND, pair[i == 4 ? 1 : 0], "x", 1)) != 1) return 3;
    }
    return 0;
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].fixed.opcode, static_cast<unsigned>(IORING_OP_SOCKET));
  EXPECT_EQ(seen[1].fixed.opcode, static_cast<unsigned>(IORING_OP_SEND));
  EXPECT_EQ(seen[2].fixed.opcode, static_cast<unsigned>(IORING_OP_SEND));
}

// Trampolines see what is carried out, whoever asked for it.
TEST_F(IoUringHooks, OpensAndRemovesLikeSystemCalls) {
  const std::string path = file();
  const Samples samples = observe_inside([&] {
    Ring ring;
    if (!ring.ok()) return 1;
    if (ring.run(open_request(AT_FDCWD, path.c_str(), O_RDONLY)) < 0) return 2;
    if (ring.run(open_request(AT_FDCWD, (path + "-none").c_str(), O_RDONLY)) != -ENOENT) return 3;
    const int removed = ring.run(request(IORING_OP_UNLINKAT, AT_FDCWD, path.c_str()));
    return removed == 0 || removed == -EINVAL ? 0 : 4;  // since 5.11
  });
  EXPECT_EQ(finished().status, 0);
  const auto opens = samples.opens(finished().pid);
  const auto removes = samples.paths(CICD_SAMPLE_REMOVE, finished().pid);
  if (!at_functions(EventType::kFileOpen)) {
    EXPECT_EQ(opens.size() + removes.size(), 0u);
    return;
  }
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0].path.path(), path);
  EXPECT_EQ(opens[0].fixed.call, CICD_OPEN_IO_URING);
  EXPECT_EQ(opens[1].path.bytes, path + "-none");
  EXPECT_EQ(opens[1].fixed.error, ENOENT);
  for (const SeenPaths& each : removes) {
    EXPECT_EQ(each.path.path(), path);
    EXPECT_EQ(each.fixed.header.flags, CICD_PATHS_IO_URING);
  }
}

TEST_F(IoUringHooks, WhatNeitherOpensNorSendsIsNothing) {
  const std::string path = file();
  EXPECT_TRUE(requests([&] {
                Ring ring;
                const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
                char bytes[4];
                if (!ring.ok() || fd < 0) return 1;
                if (ring.run(request(IORING_OP_NOP, -1, nullptr)) != 0) return 2;
                return ring.run(request(IORING_OP_READ, fd, bytes, 4)) == 4 ? 0 : 3;
              }).empty());
}

}  // namespace

}  // namespace cicd::test
