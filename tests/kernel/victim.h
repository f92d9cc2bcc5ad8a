// SPDX-License-Identifier: Apache-2.0
// A process that waits to have things done to it, and the samples that say so.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.h"

namespace cicd::test {

// Sleeps until the end of the test; a copy of this program, ignoring SIGUSR1 and SIGIO.
class Victim {
 public:
  explicit Victim(const Cgroup* cgroup = nullptr) {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    pid_ = start(cgroup, [&] {
      ::signal(SIGUSR1, SIG_IGN);
      ::signal(SIGIO, SIG_IGN);
      if (::write(ready[1], "r", 1) != 1) return 1;
      for (;;) ::pause();
    });
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Victim() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

struct SeenTarget {
  cicd_sample_target fixed;
  SeenString exec_path;
};

inline std::vector<SeenTarget> targets(const Samples& samples, cicd_sample_type type,
                                       pid_t pid = 0) {
  std::vector<SeenTarget> out;
  using T = cicd_sample_target;
  for (const Seen& seen : samples.of(type, pid)) {
    out.push_back({seen.fixed<T>(), seen.strings<T>({&T::target_exec_path})[0]});
  }
  return out;
}

inline std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

// Start of a process as /proc has it, in hundredths of a second since boot.
inline std::uint64_t start_ticks(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int i = 3; i <= 22; ++i) rest >> field;
  return std::stoull(field);
}

// The target is this copy of the test program, alive.
inline void expect_target(const SeenTarget& seen, std::uint64_t value, pid_t target,
                          std::uint32_t error = 0) {
  constexpr std::uint64_t kTickNs = 10'000'000;
  EXPECT_EQ(seen.fixed.value, value);
  EXPECT_EQ(seen.fixed.error, error);
  EXPECT_EQ(seen.fixed.target_pid, static_cast<std::uint32_t>(target));
  EXPECT_EQ(seen.fixed.target_start_time_ns / kTickNs, start_ticks(target));
  EXPECT_EQ(seen.exec_path.path(), this_program());
  EXPECT_EQ(seen.exec_path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.fixed.header.flags, 0);
}

}  // namespace cicd::test
