// SPDX-License-Identifier: Apache-2.0
// Spawn: starts a command inside a cgroup, as a user, and holds it before its first instruction
// until release(). What the hold is for: whoever watches is told of the process first, so that it
// can be killed at any moment without the command going unwatched or half started.
//
// The child is made with clone3(CLONE_INTO_CGROUP); where that is refused (old container seccomp
// filters), it is forked and moved while it is held, which is as tight.
//
// Threads: call it from a process with one thread. Lifetime: a SpawnedCommand that goes before
// release() ends the held child; afterwards the command is on its own.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "job/command_user.h"

namespace cicd {

// What this process inherited and changes for itself, to be handed to the command as it was.
struct InheritedState {
  sigset_t blocked_signals{};
  struct sigaction child_action{};  // of SIGCHLD
  struct sigaction pipe_action{};   // of SIGPIPE
  rlimit locked_memory{};           // libbpf may raise it
  rlimit open_files{};

  static InheritedState capture();
};

struct SpawnRequest {
  std::string path;  // of the program
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  CommandUser user;
  int cgroup_fd = -1;
  InheritedState inherited;
};

class SpawnedCommand {
 public:
  static Result<SpawnedCommand> start(const SpawnRequest& request);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  // Lets the command go and waits until its program runs. The error is that of execve, with its
  // errno; the child is gone then.
  Result<void> release();

 private:
  SpawnedCommand() = default;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd barrier_;  // write end; closing it without a byte ends the child
  UniqueFd verdict_;  // read end; end of file: the program runs
};

// Exit code as a shell has it: the code, or 128 + signal. `status` is wait(2)'s.
int shell_exit_code(int status);

}  // namespace cicd
