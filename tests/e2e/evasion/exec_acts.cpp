// SPDX-License-Identifier: Apache-2.0
// Ways to run a program.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "acts.h"

extern char** environ;

namespace cicd::evasion {

namespace {

constexpr char kTrue[] = "/bin/true";

int script_exec(const Place& place) {
  if (!write_file(place.at("script"), "#!/bin/sh -e\nexit 0\n", 0755)) return fail("write");
  return run_program(place.at("script"), {"harmless", "one"});
}

int script_nested(const Place& place) {
  const std::string inner = place.at("inner");
  if (!write_file(inner, "#!/bin/sh\nexit 0\n", 0755)) return fail("write");
  if (!write_file(place.at("outer"), "#!" + inner + " -x\n", 0755)) return fail("write");
  return run_program(place.at("outer"), {"harmless"});
}

int ld_so_program(const Place&) {
#if defined(__x86_64__)
  constexpr char kLoader[] = "/lib64/ld-linux-x86-64.so.2";
#else
  constexpr char kLoader[] = "/lib/ld-linux-aarch64.so.1";
#endif
  return run_program(kLoader, {"ld.so", kTrue});
}

// Runs what the descriptor holds.
int exec_of_fd(int fd) {
  char name[] = "harmless";
  char* const argv[] = {name, nullptr};
  syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
  return fail("execveat");
}

int memfd_exec(const Place&) {
  const int fd = memfd_create("jit-cache", MFD_CLOEXEC);
  if (fd < 0 || !copy_file(kTrue, "/proc/self/fd/" + std::to_string(fd))) return fail("memfd");
  return exec_of_fd(fd);
}

int execveat_empty_path(const Place&) { return exec_of_fd(open(kTrue, O_PATH | O_CLOEXEC)); }

int exec_deleted(const Place& place) {
  const std::string path = place.at("gone");
  if (!copy_file(kTrue, path)) return fail("copy");
  const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (unlink(path.c_str()) != 0) return fail("unlink");
  return exec_of_fd(fd);
}

int thread_exec(const Place&) {
  std::thread([] { run_program(kTrue, {"true", "by-thread"}); }).join();
  return kFailed;
}

int argc_zero(const Place&) {
  char* const nothing[] = {nullptr};
  execve(kTrue, nothing, environ);
  return fail("execve");
}

int argv_empty(const Place&) { return run_program(kTrue, {"", ""}); }
int argv_false(const Place&) { return run_program(kTrue, {"[kworker/0]"}); }

int argv_rewrite(const Place& place) {
  for (char* argument : place.argv) std::memset(argument, 'x', std::strlen(argument));
  return open_secret(place.secret());
}

int ld_preload(const Place& place) {
  const std::string library = place.self.substr(0, place.self.rfind('/')) + "/evasion_preload.so";
  setenv("LD_PRELOAD", library.c_str(), 1);
  setenv("EVASION_SECRET", place.secret().c_str(), 1);
  return run_program(kTrue, {"true"});
}

constexpr Act kActs[] = {
    {"script", script_exec},
    {"script-nested", script_nested},
    {"ld-so-program", ld_so_program},
    {"memfd-exec", memfd_exec},
    {"execveat-empty-path", execveat_empty_path},
    {"exec-deleted", exec_deleted},
    {"thread-exec", thread_exec},
    {"argc-zero", argc_zero},
    {"argv-empty", argv_empty},
    {"argv-false", argv_false},
    {"argv-rewrite", argv_rewrite},
    {"ld-preload", ld_preload},
};

}  // namespace

std::span<const Act> exec_acts() { return kActs; }

}  // namespace cicd::evasion
