// SPDX-License-Identifier: Apache-2.0
// Unix sockets: connects and datagrams, by path and by abstract name, through either backend.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

// What comes of it does not matter.
void try_connect(int socket, const sockaddr* address, socklen_t size) {
  [[maybe_unused]] const int result = ::connect(socket, address, size);
}

struct Address {
  sockaddr_un text{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&text); }
};

// `name` as it stands in sun_path, without a NUL behind it.
Address address_of(std::string_view name) {
  Address address;
  address.text.sun_family = AF_UNIX;
  name.copy(address.text.sun_path, sizeof(address.text.sun_path));
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return address;
}

class UnixHooks : public HookTest, public ::testing::WithParamInterface<const char*> {
 protected:
  LiveOptions options() const override {
    LiveOptions options;
    options.backends["unix_socket_connect"] = GetParam();
    return options;
  }
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const Coverage& coverage : source().coverage()) {
      if (coverage.type != EventType::kUnixSocketConnect) continue;
      // Neither is in every kernel; the last one is.
      if (!coverage.available && std::string_view(GetParam()) != "syscall tracepoint") {
        GTEST_SKIP() << "optional: " << coverage.reason;
      }
      ASSERT_TRUE(coverage.available) << coverage.reason;
      ASSERT_EQ(coverage.backend, GetParam());
    }
  }
  std::vector<SeenUnix> connects(const Act& act) {
    auto seen = observe(act).unix_connects();
    EXPECT_EQ(finished().status, 0);
    return seen;
  }
  // A listening or bound socket of this test.
  int serve(int type, const Address& address) {
    const int server = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(server, address.get(), address.length), 0) << ::strerror(errno);
    if (type != SOCK_DGRAM) {
      EXPECT_EQ(::listen(server, 16), 0);
    }
    return server;
  }
};

int connect_to(int type, const Address& address) {
  const int client = ::socket(AF_UNIX, type, 0);
  const int error = ::connect(client, address.get(), address.length) == 0 ? 0 : errno;
  ::close(client);
  return error;
}

TEST_P(UnixHooks, EveryTypeOfSocket) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    const std::string path = scratch() + "/socket" + std::to_string(type);
    const Address address = address_of(path);
    const int server = serve(type, address);
    const auto seen = connects([&] { return connect_to(type, address); });
    ::close(server);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].path.bytes, path);
    EXPECT_EQ(seen[0].path.flags, 0u);
    EXPECT_EQ(seen[0].base.bytes, "");
    EXPECT_EQ(seen[0].fixed.socket_type, type);
    EXPECT_EQ(seen[0].fixed.header.flags, 0);
    EXPECT_EQ(seen[0].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
    EXPECT_EQ(seen[0].fixed.header.cgroup_id, job().id());
  }
}

TEST_P(UnixHooks, RelativeHasItsDirectory) {
  const int server = serve(SOCK_STREAM, address_of(scratch() + "/socket"));
  const auto seen = connects([&] {
    if (::chdir(scratch().c_str()) != 0) return 1;
    return connect_to(SOCK_STREAM, address_of("./socket"));
  });
  ::close(server);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "./socket");
  EXPECT_EQ(seen[0].base.path(), scratch());
}

TEST_P(UnixHooks, AbstractNamesAreTakenAsTheyAre) {
  const std::string unique = std::to_string(::getpid());
  for (std::string name : {std::string("plain"), std::string("a\0b\xff\n\0", 6), std::string()}) {
    if (!name.empty()) name += unique;
    const Address address = address_of(std::string(1, '\0') + name);
    const auto seen = connects([&] {
      const int error = connect_to(SOCK_STREAM, address);
      return error == ECONNREFUSED ? 0 : 1;
    });
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].path.bytes, name);
    EXPECT_EQ(seen[0].base.bytes, "");
    EXPECT_EQ(seen[0].fixed.header.flags, CICD_UNIX_ABSTRACT);
  }
}

TEST_P(UnixHooks, TheLongestNames) {
  const std::string path = "/" + std::string(107, 'p');
  const std::string name(107, 'a');
  const auto seen = connects([&] {
    if (connect_to(SOCK_STREAM, address_of(path)) != ENOENT) return 1;
    return connect_to(SOCK_DGRAM, address_of(std::string(1, '\0') + name)) == ECONNREFUSED ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].path.bytes, path);
  EXPECT_EQ(seen[0].path.flags, 0u);
  EXPECT_EQ(seen[1].path.bytes, name);
}

TEST_P(UnixHooks, WhatStandsBehindTheNulIsNotTheName) {
  Address address = address_of(std::string("/no/such\0secret", 15));
  const auto seen = connects([&] { return connect_to(SOCK_STREAM, address) == ENOENT ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "/no/such");
}

TEST_P(UnixHooks, BytesAreKept) {
  const auto seen = connects(
      [&] { return connect_to(SOCK_STREAM, address_of("/no\nline\xff\x1b")) == ENOENT ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "/no\nline\xff\x1b");
}

TEST_P(UnixHooks, NothingForOthers) {
  const auto samples = observe([&] {
    int pair[2];
    ::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    if (::send(pair[0], "x", 1, 0) != 1) return 1;
    const Address address = address_of("/no/such");
    try_connect(0, address.get(), address.length);      // whatever it is
    try_connect(12345, address.get(), address.length);  // no descriptor
    const int inet = ::socket(AF_INET, SOCK_STREAM, 0);
    try_connect(inet, address.get(), address.length);  // another family
    const int unix = ::socket(AF_UNIX, SOCK_STREAM, 0);
    try_connect(unix, address.get(), 2);    // no name
    try_connect(unix, address.get(), 128);  // longer than any
    try_connect(unix, reinterpret_cast<const sockaddr*>(8), sizeof(sockaddr_un));
    return 0;
  });
  EXPECT_EQ(finished().status, 0);
  EXPECT_TRUE(samples.of(CICD_SAMPLE_UNIX_CONNECT).empty());
}

class UnixDatagrams : public UnixHooks {
 protected:
  void SetUp() override {
    UnixHooks::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    one_ = address_of(scratch() + "/one");
    two_ = address_of(scratch() + "/two");
    servers_[0] = serve(SOCK_DGRAM, one_);
    servers_[1] = serve(SOCK_DGRAM, two_);
  }
  void TearDown() override {
    for (const int server : servers_) ::close(server);
    UnixHooks::TearDown();
  }
  Address one_, two_;
  int servers_[2] = {-1, -1};
};

int send_to(int client, const Address& to) {
  return ::sendto(client, "x", 1, MSG_DONTWAIT, to.get(), to.length) == 1 ? 0 : errno;
}

msghdr message_to(const Address& to, iovec& data) {
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.get());
  message.msg_namelen = to.length;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  return message;
}

TEST_P(UnixDatagrams, EveryCall) {
  const auto seen = connects([&] {
    char byte = 'x';
    iovec data{&byte, 1};
    const int clients[] = {::socket(AF_UNIX, SOCK_DGRAM, 0), ::socket(AF_UNIX, SOCK_DGRAM, 0),
                           ::socket(AF_UNIX, SOCK_DGRAM, 0)};
    if (send_to(clients[0], one_) != 0) return 1;
    const msghdr message = message_to(two_, data);
    if (::sendmsg(clients[1], &message, MSG_DONTWAIT) != 1) return 2;
    mmsghdr messages[3] = {
        {message_to(one_, data), 0}, {message_to(two_, data), 0}, {message_to(two_, data), 0}};
    return ::sendmmsg(clients[2], messages, 3, MSG_DONTWAIT) == 3 ? 0 : 3;
  });
  ASSERT_EQ(seen.size(), 4u) << "the last message repeats its destination";
  const char* names[] = {"/one", "/two", "/one", "/two"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(seen[i].path.bytes, scratch() + names[i]);
    EXPECT_EQ(seen[i].fixed.header.flags, CICD_UNIX_SENDMSG);
    EXPECT_EQ(seen[i].fixed.socket_type, SOCK_DGRAM);
  }
}

TEST_P(UnixDatagrams, RepeatsAreCountedNotReported) {
  const auto before = source().losses(kSlot);
  ASSERT_TRUE(before);
  const auto seen = connects([&] {
    const int client = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    char byte = 0;
    for (int i = 0; i < 5; ++i) {
      if (send_to(client, one_) != 0) return 1;
      if (::recv(servers_[0], &byte, 1, 0) != 1) return 2;
    }
    if (send_to(client, two_) != 0) return 3;
    return send_to(client, one_);
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].path.bytes, scratch() + "/two");
  EXPECT_EQ(seen[2].path.bytes, scratch() + "/one");
  const auto after = source().losses(kSlot);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->repeated_sendmsg - before->repeated_sendmsg, 4u);
  EXPECT_EQ(without_recursion(*after).total(), without_recursion(*before).total());
}

TEST_P(UnixDatagrams, ManyInOneCall) {
  constexpr unsigned kMany = 1024;
  const auto seen = connects([&] {
    char byte = 'x';
    iovec data{&byte, 1};
    // Every one to a name that is not there: the call ends at the first.
    const Address none = address_of(scratch() + "/none");
    std::vector<mmsghdr> messages(kMany, mmsghdr{message_to(one_, data), 0});
    messages[kMany - 1].msg_hdr = message_to(none, data);
    const int client = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    // The receiver's queue is short: drain it from another process.
    const pid_t reader = ::fork();
    if (reader == 0) {
      for (unsigned i = 0; i + 1 < kMany; ++i) {
        if (::recv(servers_[0], &byte, 1, 0) != 1) ::_exit(1);
      }
      ::_exit(0);
    }
    const int sent = ::sendmmsg(client, messages.data(), kMany, 0);
    return sent == static_cast<int>(kMany) - 1 ? 0 : 1;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].path.bytes, scratch() + "/one");
  EXPECT_EQ(seen[1].path.bytes, scratch() + "/none");
}

INSTANTIATE_TEST_SUITE_P(Backends, UnixHooks,
                         ::testing::Values("cgroup", "trampoline", "syscall tracepoint"),
                         [](const auto& test) { return std::string(test.param).substr(0, 6); });
INSTANTIATE_TEST_SUITE_P(Backends, UnixDatagrams,
                         ::testing::Values("cgroup", "trampoline", "syscall tracepoint"),
                         [](const auto& test) { return std::string(test.param).substr(0, 6); });

}  // namespace

}  // namespace cicd::test
