// SPDX-License-Identifier: Apache-2.0
#include "loop_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

namespace cicd::test {

namespace {

bool add_address4(int fd, const char* label, const char* ip) {
  ifreq request{};
  std::strncpy(request.ifr_name, label, IFNAMSIZ - 1);
  auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, ip, &address.sin_addr);
  return ::ioctl(fd, SIOCSIFADDR, &request) == 0;
}

bool add_address6(int fd, const char* ip) {
  in6_ifreq request{};
  ::inet_pton(AF_INET6, ip, &request.ifr6_addr);
  request.ifr6_prefixlen = 128;
  request.ifr6_ifindex = 1;
  return ::ioctl(fd, SIOCSIFADDR, &request) == 0;
}

}  // namespace

LoopNet::LoopNet() {
  std::thread([this] {
    if (set_up()) namespace_fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  }).join();
}

LoopNet::~LoopNet() {
  if (namespace_fd_ >= 0) ::close(namespace_fd_);
}

bool LoopNet::set_up() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  const int fd4 = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int fd6 = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  bool done = ::ioctl(fd4, SIOCSIFFLAGS, &request) == 0;
  int number = 0;
  for (const char* ip : {kFar4, kOther4, kDns4, kMetadata4}) {
    done &= add_address4(fd4, ("lo:" + std::to_string(++number)).c_str(), ip);
  }
  for (const char* ip : {kFar6, kDns6, kMetadata6}) done &= add_address6(fd6, ip);
  ::close(fd4);
  ::close(fd6);
  return done;
}

bool LoopNet::enter() const { return ::setns(namespace_fd_, CLONE_NEWNET) == 0; }

std::uint32_t LoopNet::inode() const {
  struct stat info{};
  return ::fstat(namespace_fd_, &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

int LoopNet::serve(int type, std::uint16_t port) const {
  int made = -1;
  std::thread([&] {
    if (!enter()) return;
    const int fd = ::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int off = 0;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        (type == SOCK_STREAM && ::listen(fd, 4096) != 0)) {
      ::close(fd);
      return;
    }
    made = fd;
  }).join();
  return made;
}

int LoopNet::received(int server) {
  int count = 0;
  char buffer[2048];
  while (::recv(server, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0) ++count;
  return count;
}

}  // namespace cicd::test
