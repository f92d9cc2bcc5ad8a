// SPDX-License-Identifier: Apache-2.0
// With the help of a process outside the job. Its protocol: one line with what is wanted; the
// answer is text, or one byte with a descriptor.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "acts.h"

namespace cicd::evasion {

namespace {

bool ask(int helper, const std::string& line) {
  const std::string text = line + "\n";
  return send(helper, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

UniqueFd receive_fd(int helper) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(helper, &message, MSG_CMSG_CLOEXEC) != 1) return UniqueFd();
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

UniqueFd passed_fd(const Place& place, const std::string& line) {
  const UniqueFd helper = connected_to_helper(place);
  if (!ask(helper.get(), line)) return UniqueFd();
  return receive_fd(helper.get());
}

int inherited_fd(const Place&) { return read_secret(STDIN_FILENO); }

int scm_rights_file(const Place& place) {
  return read_secret(passed_fd(place, "open " + place.secret()).get());
}

int scm_rights_connected(const Place& place) {
  return expect_echo(passed_fd(place, "connect").get());
}

int scm_rights_unconnected(const Place& place) {
  const UniqueFd fd = passed_fd(place, "socket");
  if (!fd) return fail("no socket was passed");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(place.port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail("connect");
  }
  return expect_echo(fd.get());
}

int unix_proxy(const Place& place) {
  const UniqueFd helper = connected_to_helper(place);
  return ask(helper.get(), "proxy") ? expect_echo(helper.get()) : fail("send");
}

int unix_dotdot(const Place& place) {
  const UniqueFd helper = connected_to(place.at("../helper.sock"));
  return ask(helper.get(), "proxy") ? expect_echo(helper.get()) : fail("send");
}

// As a client of a container engine does: it asks, another one runs it.
int exec_outside(const Place& place) {
  const UniqueFd helper = connected_to_helper(place);
  return ask(helper.get(), "cat " + place.secret()) ? read_secret(helper.get()) : fail("send");
}

// The helper says its process id and the number of a descriptor.
int pidfd_getfd_file(const Place& place) {
  const UniqueFd helper = connected_to_helper(place);
  char answer[64] = {};
  if (!ask(helper.get(), "hold " + place.secret()) ||
      recv(helper.get(), answer, sizeof(answer) - 1, 0) <= 0) {
    return fail("helper");
  }
  char* rest = nullptr;
  const auto pid = static_cast<pid_t>(std::strtol(answer, &rest, 10));
  const auto number = static_cast<int>(std::strtol(rest, nullptr, 10));
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), number, 0)));
  return fd ? read_secret(fd.get()) : fail("pidfd_getfd");
}

int inbound_accept(const Place& place) {
  const UniqueFd listener = make_socket(AF_INET, SOCK_STREAM);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return fail("listen");
  }
  const UniqueFd helper = connected_to_helper(place);
  if (!ask(helper.get(), "call " + std::to_string(ntohs(address.sin_port)))) return fail("send");
  const UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return fd ? expect_echo(fd.get()) : fail("accept");
}

constexpr Act kActs[] = {
    {"inherited-fd", inherited_fd},
    {"scm-rights-file", scm_rights_file},
    {"scm-rights-connected", scm_rights_connected},
    {"scm-rights-unconnected", scm_rights_unconnected},
    {"unix-proxy", unix_proxy},
    {"unix-dotdot", unix_dotdot},
    {"exec-outside", exec_outside},
    {"pidfd-getfd", pidfd_getfd_file},
    {"inbound-accept", inbound_accept},
};

}  // namespace

std::span<const Act> outside_acts() { return kActs; }

}  // namespace cicd::evasion
