// SPDX-License-Identifier: Apache-2.0
#include "job/spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cicd {

namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// All the child needs, made before it exists: between clone and exec it must not allocate.
struct ChildPlan {
  explicit ChildPlan(const SpawnRequest& from)
      : request(from),
        argv(pointers_to(from.argv)),
        script_argv(pointers_to(from.argv)),
        environment(pointers_to(from.environment)) {
    // As execvp does with a text file that names no interpreter.
    script_argv[0] = const_cast<char*>(from.path.c_str());
    script_argv.insert(script_argv.begin(), const_cast<char*>("/bin/sh"));
  }

  const SpawnRequest& request;
  std::vector<char*> argv;
  std::vector<char*> script_argv;
  std::vector<char*> environment;
  int barrier_read = -1;
  int barrier_write = -1;
  int verdict_write = -1;
};

bool drop_all_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool become(const CommandUser& user) {
  if (user.is_switched) {
    if (::syscall(SYS_setgroups, user.groups.size(), user.groups.data()) != 0) return false;
    if (::syscall(SYS_setresgid, user.gid, user.gid, user.gid) != 0) return false;
    if (::syscall(SYS_setresuid, user.uid, user.uid, user.uid) != 0) return false;
  }
  if (!user.drops_capabilities) return true;
  const bool ids_given_back = ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
                              ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
  return ids_given_back && drop_all_capabilities();
}

void give_back(const InheritedState& state) {
  ::setrlimit(RLIMIT_MEMLOCK, &state.locked_memory);
  ::setrlimit(RLIMIT_NOFILE, &state.open_files);
  ::sigaction(SIGCHLD, &state.child_action, nullptr);
  ::sigaction(SIGPIPE, &state.pipe_action, nullptr);
}

// Runs in the child; only calls that are safe after fork.
[[noreturn]] void run_child(const ChildPlan& plan) {
  ::close(plan.barrier_write);
  char go = 0;
  ssize_t got = 0;
  do {
    got = ::read(plan.barrier_read, &go, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) ::_exit(125);
  int error = 0;
  give_back(plan.request.inherited);
  if (become(plan.request.user)) {
    ::sigprocmask(SIG_SETMASK, &plan.request.inherited.blocked_signals, nullptr);
    ::execve(plan.request.path.c_str(), plan.argv.data(), plan.environment.data());
    if (errno == ENOEXEC) {
      ::execve("/bin/sh", plan.script_argv.data(), plan.environment.data());
    }
  }
  error = errno;
  [[maybe_unused]] const ssize_t written = ::write(plan.verdict_write, &error, sizeof(error));
  ::_exit(127);
}

// The child's pid, with its pidfd; 0 in the child; -1 and errno.
pid_t clone_into_cgroup(int cgroup_fd, int& pidfd) {
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
}

// For where clone3 is refused: a child that is moved while it is held.
pid_t fork_and_move(int cgroup_fd, int& pidfd) {
  const pid_t pid = ::fork();
  if (pid <= 0) return pid;
  const std::string text = std::to_string(pid);
  const UniqueFd procs(::openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC));
  pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (procs && pidfd >= 0 && ::write(procs.get(), text.data(), text.size()) > 0) return pid;
  const int error = errno;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (pidfd >= 0) ::close(pidfd);
  errno = error;
  return -1;
}

bool is_refused_clone3(int error) {
  return error == ENOSYS || error == EPERM || error == EINVAL || error == E2BIG;
}

}  // namespace

InheritedState InheritedState::capture() {
  InheritedState state;
  ::sigprocmask(SIG_SETMASK, nullptr, &state.blocked_signals);
  ::sigaction(SIGCHLD, nullptr, &state.child_action);
  ::sigaction(SIGPIPE, nullptr, &state.pipe_action);
  ::getrlimit(RLIMIT_MEMLOCK, &state.locked_memory);
  ::getrlimit(RLIMIT_NOFILE, &state.open_files);
  return state;
}

Result<SpawnedCommand> SpawnedCommand::start(const SpawnRequest& request) {
  ChildPlan plan(request);
  int barrier[2];
  int verdict[2];
  if (::pipe2(barrier, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  UniqueFd barrier_read(barrier[0]);
  SpawnedCommand command;
  command.barrier_.reset(barrier[1]);
  if (::pipe2(verdict, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  command.verdict_.reset(verdict[0]);
  UniqueFd verdict_write(verdict[1]);
  plan.barrier_read = barrier[0];
  plan.barrier_write = barrier[1];
  plan.verdict_write = verdict[1];

  int pidfd = -1;
  command.pid_ = clone_into_cgroup(request.cgroup_fd, pidfd);
  if (command.pid_ == 0) run_child(plan);
  if (command.pid_ < 0 && is_refused_clone3(errno)) {
    command.pid_ = fork_and_move(request.cgroup_fd, pidfd);
    if (command.pid_ == 0) run_child(plan);
  }
  if (command.pid_ < 0) return fail_errno(errno, "start a process in the job's cgroup");
  command.pidfd_.reset(pidfd);
  return command;
}

Result<void> SpawnedCommand::release() {
  const char go = 1;
  if (::write(barrier_.get(), &go, 1) != 1) return fail_errno(errno, "let the command start");
  barrier_.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(verdict_.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  verdict_.reset();
  if (got != static_cast<ssize_t>(sizeof(error))) return {};
  ::waitpid(pid_, nullptr, 0);
  auto failure = fail_errno(error, "run the command");
  const char* hint = error == ENOENT
                         ? "its first line, or its ELF header, names an interpreter that is missing"
                         : "try to run it without the sensor, as the same user";
  return std::unexpected(std::move(failure.error()).with_hint(hint));
}

int shell_exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace cicd
