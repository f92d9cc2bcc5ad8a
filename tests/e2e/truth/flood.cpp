// SPDX-License-Identifier: Apache-2.0
// truth_flood: one kind of act from several processes at once, as fast as they can, each act to be
// told from the others. flood_test.py counts what came of it; bench/cost/flood also the time.
//
//   truth_flood ACT PROCESSES COUNT DIR
//
//   opens     DIR/none/<p>-<i>, which are not there        repeats  DIR/same, again and again
//   execs     itself as `truth_flood nothing <p> <i>`      connects UDP to 127.<p+1>.x.y, x, y,
//   port dns       asks 127.0.0.1 for p<p>-<i>.flood.test       by i all       process p does the
//   p-th of opens, execs, connects, dns
//
// Works in a network namespace of its own. Prints {"done": N, "seconds": S}; exits with 0 only when
// every act was done.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

extern char** environ;

namespace {

struct Flood {
  char* self;
  unsigned process;
  unsigned count;
  std::string directory;
};

int fail(const char* what) {
  std::perror(what);
  return 1;
}

int opens(const Flood& flood) {
  const std::string before = flood.directory + "/none/" + std::to_string(flood.process) + "-";
  for (unsigned i = 0; i < flood.count; ++i) {
    if (open((before + std::to_string(i)).c_str(), O_RDONLY) >= 0 || errno != ENOENT) return 1;
  }
  return 0;
}

int repeats(const Flood& flood) {
  const std::string path = flood.directory + "/same";
  for (unsigned i = 0; i < flood.count; ++i) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(path.c_str());
    close(fd);
  }
  return 0;
}

int execs(const Flood& flood) {
  char mode[] = "nothing";
  std::string process = std::to_string(flood.process);
  for (unsigned i = 0; i < flood.count; ++i) {
    std::string number = std::to_string(i);
    char* const argv[] = {flood.self, mode, process.data(), number.data(), nullptr};
    pid_t pid = 0;
    errno = posix_spawn(&pid, flood.self, nullptr, nullptr, argv, environ);
    if (errno != 0) return fail("posix_spawn");
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) return fail("wait");
  }
  return 0;
}

sockaddr_in loopback(unsigned address, unsigned port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  out.sin_addr.s_addr = htonl(address);
  return out;
}

int connect_to(int fd, const sockaddr_in& to) {
  return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
}

int connects(const Flood& flood) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail("socket");
  const unsigned network = 0x7f000000U + ((flood.process + 1) << 16);
  for (unsigned i = 0; i < flood.count; ++i) {
    if (connect_to(fd, loopback(network + (i & 0xffff), 1000 + (i >> 16))) != 0) {
      return fail("connect");
    }
  }
  close(fd);
  return 0;
}

// A query of type A for p<p>-<i>.flood.test.
std::string query(const Flood& flood, unsigned number) {
  std::string out{"\0\0\1\0\0\1\0\0\0\0\0\0", 12};
  out[0] = static_cast<char>(number >> 8);
  out[1] = static_cast<char>(number);
  const std::string first = "p" + std::to_string(flood.process) + "-" + std::to_string(number);
  for (const std::string_view label :
       {std::string_view(first), std::string_view("flood"), std::string_view("test")}) {
    out.push_back(static_cast<char>(label.size()));
    out.append(label);
  }
  out.append("\0\0\1\0\1", 5);
  return out;
}

int dns(const Flood& flood) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect_to(fd, loopback(INADDR_LOOPBACK, 53)) != 0) return fail("connect");
  for (unsigned i = 0; i < flood.count; ++i) {
    const std::string asked = query(flood, i);
    // main() listens there and reads nothing: what does not fit into its buffer is dropped behind
    // the hooks.
    if (send(fd, asked.data(), asked.size(), 0) < 0) return fail("send");
  }
  close(fd);
  return 0;
}

struct Act {
  std::string_view name;
  int (*act)(const Flood& flood);
};
constexpr Act kAll[] = {
    {"opens", opens}, {"execs", execs}, {"connects", connects}, {"dns", dns}, {"repeats", repeats}};
constexpr unsigned kMixed = 4;  // of kAll, for `all`

int (*find_act(std::string_view name, unsigned process))(const Flood&) {
  if (name == "all") return kAll[process % kMixed].act;
  for (const Act& act : kAll) {
    if (act.name == name) return act.act;
  }
  return nullptr;
}

bool enter_own_network() {
  if (unshare(CLONE_NEWNET) != 0) return false;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) return false;
  const sockaddr_in server = loopback(INADDR_LOOPBACK, 53);  // stays open for dns()
  return bind(fd, reinterpret_cast<const sockaddr*>(&server), sizeof(server)) == 0;
}

int run(char** argv) {
  Flood flood{argv[0], 0, static_cast<unsigned>(std::atoi(argv[3])), argv[4]};
  const auto processes = static_cast<unsigned>(std::atoi(argv[2]));  // NOLINT(cert-err34-c)
  if (find_act(argv[1], 0) == nullptr || flood.count == 0 || processes == 0) return 2;
  if (!enter_own_network()) return fail("a network of its own");
  const auto start = std::chrono::steady_clock::now();
  for (; flood.process < processes; ++flood.process) {
    const pid_t pid = fork();
    if (pid < 0) return fail("fork");
    if (pid == 0) _exit(find_act(argv[1], flood.process)(flood));
  }
  bool is_well = true;
  int status = 0;
  while (wait(&status) > 0) is_well = is_well && status == 0;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf("{\"done\": %u, \"seconds\": %.3f}\n", processes * flood.count, time.count());
  return is_well ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "nothing") return 0;
  const int code = argc == 5 ? run(argv) : 2;
  if (code == 2) std::fprintf(stderr, "usage: truth_flood ACT PROCESSES COUNT DIR\n");
  return code;
}
