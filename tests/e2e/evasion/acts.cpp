// SPDX-License-Identifier: Apache-2.0
// What the acts share.
#include "acts.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace cicd::evasion {

namespace {

constexpr std::string_view kSecretText = "secret of ";
constexpr std::string_view kWord = "hello";
constexpr timeval kPatience{5, 0};

}  // namespace

int fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  return kFailed;
}

int cannot(const char* what) {
  std::fprintf(stderr, "cannot run here: %s: %s\n", what, std::strerror(errno));
  return kCannot;
}

bool is_secret(std::string_view text) { return text.starts_with(kSecretText); }

int read_secret(int fd) {
  char text[64];
  const ssize_t bytes = read(fd, text, sizeof(text));
  if (bytes < 0) return fail("read");
  if (is_secret({text, static_cast<std::size_t>(bytes)})) return kDone;
  std::fprintf(stderr, "read something else than the secret\n");
  return kFailed;
}

int open_secret(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? read_secret(fd.get()) : fail(path.c_str());
}

int wait_for(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return fail("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

int in_child(const std::function<int()>& act) {
  const pid_t pid = fork();
  if (pid == 0) _exit(act());
  return wait_for(pid);
}

int run_program(const std::string& path, const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  execve(path.c_str(), arguments.data(), environ);
  return fail(path.c_str());
}

bool write_file(const std::string& path, std::string_view text, int mode) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool copy_file(const std::string& from, const std::string& to) {
  const UniqueFd in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd out(open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
  if (!in || !out) return false;
  char buffer[65536];
  ssize_t bytes = 0;
  while ((bytes = read(in.get(), buffer, sizeof(buffer))) > 0) {
    if (write(out.get(), buffer, static_cast<std::size_t>(bytes)) != bytes) return false;
  }
  return bytes == 0;
}

int expect_echo(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  char answer[16];
  if (send(fd, kWord.data(), kWord.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kWord.size())) {
    return fail("send");
  }
  const ssize_t bytes = recv(fd, answer, sizeof(answer), 0);
  if (bytes == static_cast<ssize_t>(kWord.size())) return kDone;
  return fail("recv");
}

UniqueFd make_socket(int family, int kind, int protocol) {
  return UniqueFd(socket(family, kind | SOCK_CLOEXEC, protocol));
}

UniqueFd connected_to(const std::string& path) {
  UniqueFd fd = make_socket(AF_UNIX, SOCK_STREAM);
  if (!fd) return fd;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return UniqueFd();
  path.copy(address.sun_path, path.size());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail(path.c_str());
    return UniqueFd();
  }
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  return fd;
}

UniqueFd connected_to_helper(const Place& place) {
  return connected_to(place.folder.substr(0, place.folder.rfind('/')) + "/helper.sock");
}

}  // namespace cicd::evasion
