// SPDX-License-Identifier: Apache-2.0
#include "name_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <future>

namespace cicd::test {

namespace {

constexpr int kPollMs = 20;

int listen_on(int family, int type) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(53);
  v6.sin6_addr = in6addr_loopback;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(53);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* address = family == AF_INET ? reinterpret_cast<const sockaddr*>(&v4)
                                          : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
  if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(fd, address, size) != 0 || (type == SOCK_STREAM && ::listen(fd, 8) != 0)) {
    ::close(fd);
    return -1;
  }
  return fd;
}

bool bring_loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool done = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  ::close(fd);
  return done;
}

// Exactly `bytes`, or false.
bool read_all(int fd, std::uint8_t* to, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::recv(fd, to, bytes, 0);
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

NameServer::NameServer(Reply reply) : reply_(std::move(reply)) {
  std::promise<void> ready;
  thread_ = std::thread([this, &ready] {
    const bool is_up = set_up();
    ready.set_value();
    if (is_up) serve();
  });
  ready.get_future().wait();
}

NameServer::~NameServer() {
  is_stopping_ = true;
  thread_.join();
  for (const int fd : datagrams_) ::close(fd);
  for (const int fd : listeners_) ::close(fd);
  if (namespace_fd_ >= 0) ::close(namespace_fd_);
}

bool NameServer::enter() const { return ::setns(namespace_fd_, CLONE_NEWNET) == 0; }

bool NameServer::set_up() {
  if (::unshare(CLONE_NEWNET) != 0 || !bring_loopback_up()) return false;
  for (const int family : {AF_INET, AF_INET6}) {
    datagrams_.push_back(listen_on(family, SOCK_DGRAM));
    listeners_.push_back(listen_on(family, SOCK_STREAM));
    if (datagrams_.back() < 0 || listeners_.back() < 0) return false;
  }
  namespace_fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return namespace_fd_ >= 0;
}

void NameServer::serve() {
  while (!is_stopping_) {
    pollfd polled[4] = {{datagrams_[0], POLLIN, 0},
                        {datagrams_[1], POLLIN, 0},
                        {listeners_[0], POLLIN, 0},
                        {listeners_[1], POLLIN, 0}};
    if (::poll(polled, 4, kPollMs) <= 0) continue;
    for (int i = 0; i < 4; ++i) {
      if ((polled[i].revents & POLLIN) == 0) continue;
      if (i < 2) {
        answer_datagram(polled[i].fd);
      } else {
        answer_stream(polled[i].fd);
      }
    }
  }
}

void NameServer::answer_datagram(int socket) {
  Message query(65'536);
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  auto* address = reinterpret_cast<sockaddr*>(&from);
  const ssize_t got = ::recvfrom(socket, query.data(), query.size(), MSG_DONTWAIT, address, &size);
  if (got < 0) return;
  query.resize(static_cast<std::size_t>(got));
  const Message answer = reply_(query, false);
  if (!answer.empty()) ::sendto(socket, answer.data(), answer.size(), 0, address, size);
}

// One connection at a time, until the client closes it.
void NameServer::answer_stream(int listener) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  const timeval patience{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  std::uint8_t length[2];
  while (read_all(fd, length, 2)) {
    Message query(static_cast<std::size_t>(length[0] << 8 | length[1]));
    if (!read_all(fd, query.data(), query.size())) break;
    const Message answer = reply_(query, true);
    if (answer.empty()) continue;
    Message framed = {static_cast<std::uint8_t>(answer.size() >> 8),
                      static_cast<std::uint8_t>(answer.size())};
    framed.insert(framed.end(), answer.begin(), answer.end());
    ::send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
  }
  ::close(fd);
}

}  // namespace cicd::test
