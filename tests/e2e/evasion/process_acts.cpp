// SPDX-License-Identifier: Apache-2.0
// Processes, threads and cgroups: ways out of the tree, the session and the cgroup.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "acts.h"

namespace cicd::evasion {

namespace {

constexpr std::size_t kStackBytes = 256 * 1024;

int vfork_exec(const Place&) {
  char program[] = "/bin/true";
  char* const argv[] = {program, nullptr};
  // It is the act.
  const pid_t pid = vfork();  // NOLINT(bugprone-unsafe-functions,clang-analyzer-*)
  if (pid == 0) {
    execv(program, argv);
    _exit(1);
  }
  return wait_for(pid);
}

int open_in_clone(void* place) { return open_secret(static_cast<const Place*>(place)->secret()); }

// Shares everything with its parent but is a process of its own.
int clone_vm(const Place& place) {
  std::vector<char> stack(kStackBytes);
  const int flags = CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD;
  const pid_t pid =
      clone(open_in_clone, stack.data() + kStackBytes, flags, const_cast<Place*>(&place));
  return wait_for(pid);
}

int double_fork(const Place& place) {
  return in_child([&] {
    setsid();
    return in_child([&] {
      setpgid(0, 0);
      return open_secret(place.secret());
    });
  });
}

// The act ends before its grandchild acts; nobody waits for that one.
int daemon_reparented(const Place& place) {
  const pid_t act = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail("fork");
  if (pid > 0) return kDone;
  setsid();
  while (getppid() == act) usleep(1000);
  _exit(open_secret(place.secret()));
}

int prctl_name(const Place& place) {
  if (prctl(PR_SET_NAME, "kworker/0:1") != 0) return fail("prctl");
  return open_secret(place.secret());
}

int cgroup_move(const Place& place) {
  if (!write_file(place.at("../outside/cgroup.procs"), "0")) return fail("cgroup.procs");
  return open_secret(place.secret());
}

int cgroup_clone_into(const Place& place) {
  const UniqueFd cgroup(open(place.at("../outside").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<std::uint64_t>(cgroup.get());
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (pid == 0) _exit(open_secret(place.secret()));
  return wait_for(pid);
}

int cgroup_child(const Place& place) {
  std::ifstream file("/proc/self/cgroup");
  std::string own;
  while (std::getline(file, own) && !own.starts_with("0::")) {
  }
  if (own.size() < 4) return fail("/proc/self/cgroup");
  const std::string child = place.at("../v2") + own.substr(3) + "/evasion";
  if (mkdir(child.c_str(), 0755) != 0) return fail(child.c_str());
  const int code = in_child([&] {
    if (!write_file(child + "/cgroup.procs", "0")) return fail("cgroup.procs");
    return open_secret(place.secret());
  });
  if (rmdir(child.c_str()) != 0) return fail("rmdir");
  return code;
}

// Stops the child before each of its system calls and after it, until it ends; puts another path
// into its memory when the kernel is about to read it.
int trace_child(pid_t child, void* where, long swapped) {
  int status = 0;
  bool is_swapped = false;
  while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    errno = 0;
    const long word = ptrace(PTRACE_PEEKDATA, child, where, nullptr);
    if (errno == 0 && std::memcmp(&word, "GO", 2) == 0) {
      if (ptrace(PTRACE_POKEDATA, child, where, swapped) != 0) return fail("POKEDATA");
      is_swapped = true;
    }
    if (ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) return fail("PTRACE_SYSCALL");
  }
  return is_swapped && WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

// The child asks for one path, its tracer makes it another after the call was entered.
int ptrace_swap(const Place& place) {
  if (chdir(place.folder.c_str()) != 0) return fail("chdir");
  alignas(long) static char name[16] = "harmles";
  long swapped = 0;
  std::memcpy(&swapped, "secret\0", sizeof(swapped));
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    std::memcpy(name, "GO", 3);
    // The next call is the open: its stop at the entry finds the word.
    const auto fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, name, O_RDONLY));
    _exit(fd < 0 ? kFailed : read_secret(fd));
  }
  return trace_child(child, name, swapped);
}

// Reads a secret out of the memory of another process.
int process_vm_read(const Place& place) {
  static char memory[64];
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail("pipe");
  const pid_t other = fork();
  if (other == 0) {
    const UniqueFd fd(open(place.secret().c_str(), O_RDONLY | O_CLOEXEC));
    if (read(fd.get(), memory, sizeof(memory)) <= 0 || write(ends[1], "1", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char text[sizeof(memory)] = {};
  const iovec local{text, sizeof(text)};
  const iovec remote{memory, sizeof(memory)};
  char ready = 0;
  const bool is_read = read(ends[0], &ready, 1) == 1 &&
                       process_vm_readv(other, &local, 1, &remote, 1, 0) > 0 && is_secret(text);
  kill(other, SIGKILL);
  wait_for(other);
  return is_read ? kDone : fail("process_vm_readv");
}

// The same by /proc/<pid>/mem, which is an ordinary file.
int proc_mem_read(const Place&) {
  static char memory[] = "secret of a process";
  const pid_t other = fork();
  if (other == 0) {
    pause();
    _exit(0);
  }
  char text[sizeof(memory)] = {};
  const std::string path = "/proc/" + std::to_string(other) + "/mem";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const bool is_read = pread(fd.get(), text, sizeof(text), reinterpret_cast<off_t>(memory)) > 0;
  kill(other, SIGKILL);
  wait_for(other);
  return is_read && is_secret(text) ? kDone : fail(path.c_str());
}

// Instructions that return, for memory that was made executable.
#if defined(__x86_64__)
constexpr unsigned char kReturn[] = {0xc3};
#else
constexpr unsigned char kReturn[] = {0xc0, 0x03, 0x5f, 0xd6};
#endif

int run_code(void* memory) {
  __builtin___clear_cache(static_cast<char*>(memory), static_cast<char*>(memory) + sizeof(kReturn));
  reinterpret_cast<void (*)()>(memory)();
  return kDone;
}

int exec_memory(const Place&) {
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail("mmap");
  std::memcpy(memory, kReturn, sizeof(kReturn));
  if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0) return fail("mprotect");
  return run_code(memory);
}

// Code comes in through a file that has no name: nothing anonymous becomes executable.
int exec_memfd_mapping(const Place&) {
  const UniqueFd fd(memfd_create("data", MFD_CLOEXEC));
  if (write(fd.get(), kReturn, sizeof(kReturn)) != sizeof(kReturn)) return fail("write");
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd.get(), 0);
  return memory == MAP_FAILED ? fail("mmap") : run_code(memory);
}

constexpr Act kActs[] = {
    {"vfork-exec", vfork_exec},
    {"clone-vm", clone_vm},
    {"double-fork", double_fork},
    {"daemon-reparented", daemon_reparented},
    {"prctl-name", prctl_name},
    {"cgroup-move", cgroup_move},
    {"cgroup-clone-into", cgroup_clone_into},
    {"cgroup-child", cgroup_child},
    {"ptrace-swap", ptrace_swap},
    {"process-vm-read", process_vm_read},
    {"proc-mem-read", proc_mem_read},
    {"exec-memory", exec_memory},
    {"exec-memfd-mapping", exec_memfd_mapping},
};

}  // namespace

std::span<const Act> process_acts() { return kActs; }

}  // namespace cicd::evasion
