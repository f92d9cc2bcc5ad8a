// SPDX-License-Identifier: Apache-2.0
// truth_load: does a known number of things, each of which can be told from the others, as fast as
// it can. truth_test.py runs it under the sensor and counts.
//
//   truth_load processes COUNT       runs itself as `truth_load nothing <i>`, i below COUNT
//   truth_load opens COUNT DIR       makes, opens and removes the files DIR/f<i>
//   truth_load connects COUNT        connects to 127.1.x.y, x and y from i, in bursts
//   truth_load nothing ...           ends
//
// Exits with 0 only when every single act succeeded, so that the count is known to be true.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace {

constexpr int kBurstProcesses = 64;
constexpr int kBurstConnects = 200;

int fail(const char* what) {
  std::perror(what);
  return 1;
}

int run_processes(char* self, int count) {
  char mode[] = "nothing";
  for (int first = 0; first < count; first += kBurstProcesses) {
    int started = 0;
    for (; started < kBurstProcesses && first + started < count; ++started) {
      std::string number = std::to_string(first + started);
      char* const argv[] = {self, mode, number.data(), nullptr};
      pid_t pid = 0;
      errno = posix_spawn(&pid, self, nullptr, nullptr, argv, environ);
      if (errno != 0) return fail("posix_spawn");
    }
    for (; started > 0; --started) {
      int status = 0;
      if (wait(&status) < 0 || status != 0) return fail("wait");
    }
  }
  return 0;
}

int run_opens(const std::string& directory, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string path = directory + "/f" + std::to_string(i);
    const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return fail(path.c_str());
    close(fd);
    if (unlink(path.c_str()) != 0) return fail(path.c_str());
  }
  return 0;
}

// Closes with a reset, so that thousands of ports do not wait out their time.
void close_hard(int fd) {
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd);
}

int connect_burst(int listener, sockaddr_in address, int first, int count) {
  std::vector<int> open_fds;
  for (int i = first; i < first + count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail("socket");
    open_fds.push_back(fd);
    address.sin_addr.s_addr = htonl(0x7f010000U + static_cast<unsigned>(i));
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return fail("connect");
    }
  }
  for (int i = 0; i < count; ++i) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return fail("accept");
    open_fds.push_back(fd);
  }
  for (const int fd : open_fds) close_hard(fd);
  return 0;
}

int run_connects(int count) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof(address);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(listener, 2 * kBurstConnects) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return fail("listen");
  }
  for (int first = 0; first < count; first += kBurstConnects) {
    const int burst = count - first < kBurstConnects ? count - first : kBurstConnects;
    if (const int code = connect_burst(listener, address, first, burst); code != 0) return code;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "nothing") return 0;
  const int count = argc > 2 ? std::atoi(argv[2]) : 0;  // NOLINT(cert-err34-c): from our own test
  if (count > 0 && count <= 0xffff && mode == "connects") return run_connects(count);
  if (count > 0 && mode == "processes") return run_processes(argv[0], count);
  if (count > 0 && mode == "opens" && argc == 4) return run_opens(argv[3], count);
  std::fprintf(stderr, "usage: truth_load processes|opens|connects COUNT [DIR]\n");
  return 2;
}
