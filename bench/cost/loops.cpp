// SPDX-License-Identifier: Apache-2.0
// cost_loops: one act, over and over, for bench/cost: what a hook costs is what the loop takes
// longer with it.
//
//   cost_loops ACT COUNT [PATH]
//
// fork_exec starts PATH COUNT times and waits for each; opens opens and closes PATH; failed_opens
// a file that is not there; unlinks makes and removes PATH; calls asks for the parent's pid.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

extern char** environ;

namespace {

constexpr std::size_t kMappedBytes = 4096;

bool fork_exec(char* program) {
  char* const argv[] = {program, nullptr};
  pid_t pid = 0;
  if (posix_spawn(&pid, program, nullptr, nullptr, argv, environ) != 0) return false;
  int status = 0;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

bool open_once(char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && close(fd) == 0;
}

bool open_missing(char*) { return open("/no-such-directory/no-such-file", O_RDONLY) < 0; }

bool unlink_once(char* path) {
  const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  return fd >= 0 && close(fd) == 0 && unlink(path) == 0;
}

bool map_once(char*) {
  void* at =
      mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at != MAP_FAILED && munmap(at, kMappedBytes) == 0;
}

bool connect_once(char*) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
         close(fd) == 0;
}

bool connect_unix(char*) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, "cicd-nobody", sizeof("cicd-nobody"));
  return fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0 &&
         close(fd) == 0;
}

bool call_once(char*) { return syscall(SYS_getppid) >= 0; }

bool signal_self(char*) { return kill(getpid(), 0) == 0; }

struct Loop {
  std::string_view name;
  bool (*act)(char* path);
};
constexpr Loop kLoops[] = {
    {"fork_exec", fork_exec},        {"opens", open_once}, {"failed_opens", open_missing},
    {"unlinks", unlink_once},        {"maps", map_once},   {"connects", connect_once},
    {"unix_connects", connect_unix}, {"calls", call_once}, {"signals", signal_self},
};

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 2 ? std::atol(argv[2]) : 0;  // NOLINT(cert-err34-c): from our own bench
  char none[] = "";
  for (const Loop& loop : kLoops) {
    if (argc < 3 || loop.name != argv[1]) continue;
    for (long i = 0; i < count; ++i) {
      if (loop.act(argc > 3 ? argv[3] : none)) continue;
      std::perror(argv[1]);
      return 1;
    }
    return 0;
  }
  std::fprintf(stderr, "usage: cost_loops ACT COUNT [PATH]\n");
  return 2;
}
