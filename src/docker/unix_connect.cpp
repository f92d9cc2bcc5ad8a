// SPDX-License-Identifier: Apache-2.0
#include "docker/unix_connect.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cicd {

namespace {

constexpr int kBacklog = 4096;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::kUsage, "'" + path + "' cannot be the path of a socket",
                "at most " + std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> unix_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  return fd;
}

}  // namespace

Result<UniqueFd> connect_unix(const std::string& path) {
  CICD_ASSIGN(const sockaddr_un address, address_of(path));
  CICD_ASSIGN(UniqueFd fd, unix_socket());
  int result = 0;
  do {
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  if (errno == EAGAIN) return fail(ErrorCode::kTimeout, path + " takes no connection now");
  return fail_errno(errno, "connect to " + path);
}

Result<UniqueFd> listen_unix(const std::string& path) {
  CICD_ASSIGN(const sockaddr_un address, address_of(path));
  CICD_ASSIGN(UniqueFd fd, unix_socket());
  const auto bind = [&] {
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  };
  if (bind() != 0) {
    if (errno != EADDRINUSE) return fail_errno(errno, "bind " + path);
    if (const auto other = connect_unix(path); other || other.error().sys_errno != ECONNREFUSED) {
      return fail(
          ErrorCode::kResource, "somebody listens at " + path + " or it is no socket",
          "give dockerd another socket (--upstream-socket) or this proxy (--listen-socket)");
    }
    ::unlink(path.c_str());
    if (bind() != 0) return fail_errno(errno, "bind " + path);
  }
  if (::listen(fd.get(), kBacklog) != 0) return fail_errno(errno, "listen at " + path);
  return fd;
}

}  // namespace cicd
