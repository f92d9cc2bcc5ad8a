// SPDX-License-Identifier: Apache-2.0
#include "listener/http_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cicd {

namespace {

constexpr int kBacklog = 512;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/') {
    return fail(ErrorCode::kUsage, "socket path \"" + path + "\" does not start with /",
                "name the socket by its whole path with --socket");
  }
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::kUsage,
                "socket path of " + std::to_string(path.size()) + " bytes; at most " +
                    std::to_string(sizeof(address.sun_path) - 1) + " fit",
                "name a shorter path with --socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Held as long as the server lives, so it tells better than the socket file whether one does.
Result<UniqueFd> lock(const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "open " + name);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return fail_errno(errno, "lock " + name);
  return fail(ErrorCode::kResource, "another one already listens on " + path,
              "use that one, stop it, or name another path with --socket");
}

}  // namespace

Result<ListenSocket> ListenSocket::open(const std::string& path, unsigned mode) {
  CICD_ASSIGN(const sockaddr_un address, address_of(path));
  const std::string folder = path.substr(0, path.rfind('/'));
  if (!folder.empty() && ::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return fail_errno(errno, "make " + folder);
  }
  ListenSocket out;
  CICD_ASSIGN(out.lock_, lock(path));
  struct stat old{};
  if (::lstat(path.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) {
      return fail(ErrorCode::kUsage, path + " is there and is no socket",
                  "remove it, or name another path with --socket");
    }
    ::unlink(path.c_str());
  }
  out.fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd_) return fail_errno(errno, "make a socket");
  if (::bind(out.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno(errno, "bind " + path);
  }
  out.path_ = path;
  if (::chmod(path.c_str(), mode) != 0) return fail_errno(errno, "change the mode of " + path);
  if (::listen(out.fd_.get(), kBacklog) != 0) return fail_errno(errno, "listen on " + path);
  return out;
}

ListenSocket::~ListenSocket() {
  if (lock_ && !path_.empty()) ::unlink(path_.c_str());
}

}  // namespace cicd
