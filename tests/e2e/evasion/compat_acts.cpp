// SPDX-License-Identifier: Apache-2.0
// 32-bit system calls of a 64-bit program: int 0x80 needs no 32-bit library, only arguments that
// lie below 4 GiB.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "acts.h"

namespace cicd::evasion {

namespace {

#if defined(__x86_64__)

constexpr int kCompatFork = 2;
constexpr int kCompatOpen = 5;
constexpr int kCompatExecve = 11;
constexpr int kCompatSocket = 359;
constexpr int kCompatConnect = 362;

long compat_call(int number, long a = 0, long b = 0, long c = 0) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(a), "c"(b), "d"(c)
               : "memory", "r8", "r9", "r10", "r11");
  // The result is a 32-bit number with its sign.
  return static_cast<int>(result);
}

// Memory that a 32-bit pointer reaches.
class LowMemory {
 public:
  LowMemory() {
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    begin_ = at_ = static_cast<char*>(memory);
  }
  ~LowMemory() { munmap(begin_, kBytes); }
  LowMemory(const LowMemory&) = delete;
  LowMemory& operator=(const LowMemory&) = delete;

  long put(const void* data, std::size_t bytes) {
    char* where = at_;
    std::memcpy(where, data, bytes);
    at_ += (bytes + 15) / 16 * 16;
    return reinterpret_cast<long>(where);
  }
  long put(const std::string& text) { return put(text.c_str(), text.size() + 1); }

 private:
  static constexpr std::size_t kBytes = 65536;
  char* begin_ = nullptr;
  char* at_ = nullptr;
};

int fail_with(long result, const char* what) {
  errno = static_cast<int>(-result);
  return result == -ENOSYS ? cannot(what) : fail(what);
}

int int80_open(const Place& place) {
  LowMemory memory;
  const long result = compat_call(kCompatOpen, memory.put(place.secret()), O_RDONLY);
  const UniqueFd fd(static_cast<int>(result));
  return result >= 0 ? read_secret(fd.get()) : fail_with(result, "int 0x80 open");
}

int int80_exec(const Place&) {
  LowMemory memory;
  const long name = memory.put("/bin/true");
  const std::uint32_t argv[] = {static_cast<std::uint32_t>(memory.put("compat")), 0};
  const std::uint32_t envp[] = {0};
  const long arguments = memory.put(argv, sizeof(argv));
  return fail_with(compat_call(kCompatExecve, name, arguments, memory.put(envp, sizeof(envp))),
                   "int 0x80 execve");
}

int int80_fork(const Place& place) {
  const long pid = compat_call(kCompatFork);
  if (pid < 0) return fail_with(pid, "int 0x80 fork");
  if (pid == 0) _exit(open_secret(place.secret()));
  return wait_for(static_cast<pid_t>(pid));
}

int int80_connect(const Place& place) {
  LowMemory memory;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(place.port);
  const long made = compat_call(kCompatSocket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return fail_with(made, "int 0x80 socket");
  const UniqueFd fd(static_cast<int>(made));
  const long result =
      compat_call(kCompatConnect, made, memory.put(&address, sizeof(address)), sizeof(address));
  return result == 0 ? expect_echo(fd.get()) : fail_with(result, "int 0x80 connect");
}

#else

int no_compat(const Place&) {
  errno = ENOSYS;
  return cannot("int 0x80 (x86 only)");
}
constexpr auto int80_open = no_compat;
constexpr auto int80_exec = no_compat;
constexpr auto int80_fork = no_compat;
constexpr auto int80_connect = no_compat;

#endif

constexpr Act kActs[] = {
    {"int80-open", int80_open},
    {"int80-exec", int80_exec},
    {"int80-fork", int80_fork},
    {"int80-connect", int80_connect},
};

}  // namespace

std::span<const Act> compat_acts() { return kActs; }

}  // namespace cicd::evasion
