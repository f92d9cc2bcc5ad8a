// SPDX-License-Identifier: Apache-2.0
#include "kernel/self_check.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/unique_fd.h"
#include "kernel/live_source.h"
#include "wire/loss.h"

namespace cicd {

namespace {

// No job runs yet; every source has at least this many slots.
constexpr std::uint32_t kSelfCheckSlot = CICD_SLOTS_DEFAULT - 1;
constexpr std::chrono::seconds kPatience{3};
constexpr std::uint16_t kDiscardPort = 9;

// Made and removed with the check.
class CheckCgroup {
 public:
  static Result<CheckCgroup> make(const std::string& below) {
    std::string path = below + "/cicd-self-check-" + std::to_string(::getpid());
    if (::mkdir(path.c_str(), 0755) != 0) return fail_errno(errno, "make cgroup " + path);
    CheckCgroup cgroup(std::move(path));
    cgroup.fd_ = UniqueFd(::open(cgroup.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (!cgroup.fd_ || ::fstat(cgroup.fd_.get(), &status) != 0) {
      return fail_errno(errno, "open cgroup " + cgroup.path_);
    }
    cgroup.id_ = status.st_ino;
    return cgroup;
  }
  CheckCgroup(CheckCgroup&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)), id_(other.id_) {}
  CheckCgroup& operator=(CheckCgroup&&) = delete;
  ~CheckCgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  int fd() const { return fd_.get(); }
  std::uint64_t id() const { return id_; }

 private:
  explicit CheckCgroup(std::string path) : path_(std::move(path)) {}
  std::string path_;
  UniqueFd fd_;
  std::uint64_t id_ = 0;
};

// Runs in the child of a fork: system calls only. A UDP connect sends nothing.
[[noreturn]] void act_as_job() {
  const int file = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file >= 0) ::close(file);
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kDiscardPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket < 0 ||
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::_exit(126);  // then the missing connect is what the check reports
  }
  char name[] = "sh";
  char option[] = "-c";
  char command[] = ":";
  char* argv[] = {name, option, command, nullptr};
  char* envp[] = {nullptr};
  // Any program will do; hosts without a shell have at least one of the others.
  for (const char* program : {"/bin/true", "/bin/sh", "/usr/bin/true", "/bin/busybox"}) {
    ::execve(program, argv, envp);
  }
  ::_exit(127);
}

Result<pid_t> start_in(const CheckCgroup& cgroup) {
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<__u64>(cgroup.fd());
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return fail_errno(errno, "start a process in a cgroup");
  if (pid == 0) act_as_job();
  return static_cast<pid_t>(pid);
}

struct Expected {
  std::uint16_t type;
  const char* name;
  bool seen = false;
};

std::string missing_of(std::span<const Expected> expected) {
  std::string missing;
  for (const Expected& each : expected) {
    if (each.seen) continue;
    if (!missing.empty()) missing += ", ";
    missing += each.name;
  }
  return missing;
}

}  // namespace

Result<> run_self_check(LiveSource& source, const std::string& cgroup_dir) {
  Result<CheckCgroup> cgroup = CheckCgroup::make(cgroup_dir);
  if (!cgroup) return std::unexpected(std::move(cgroup).error().with_context("self-check"));
  if (Result<> tracked = source.track_cgroup(cgroup->id(), kSelfCheckSlot); !tracked) {
    return tracked;
  }
  std::array<Expected, 5> expected = {{{CICD_SAMPLE_FORK, "fork"},
                                       {CICD_SAMPLE_OPEN, "open"},
                                       {CICD_SAMPLE_CONNECT, "connect"},
                                       {CICD_SAMPLE_EXEC, "exec"},
                                       {CICD_SAMPLE_EXIT, "exit"}}};
  const auto note = [&](SampleBytes bytes) {
    cicd_sample_header header{};
    if (bytes.size() < sizeof(header)) return;
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.slot != kSelfCheckSlot) return;
    for (Expected& each : expected) each.seen |= each.type == header.type;
  };
  Result<pid_t> child = start_in(*cgroup);
  Result<> outcome;
  if (child) {
    ::waitpid(*child, nullptr, 0);
  } else {
    outcome = std::unexpected(std::move(child).error());
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (outcome && !missing_of(expected).empty()) {
    if (std::chrono::steady_clock::now() > deadline) {
      outcome = fail(ErrorCode::kUnsupported,
                     "self-check: these did not come through: " + missing_of(expected));
      break;
    }
    Result<std::size_t> polled = source.poll(std::chrono::milliseconds(50), note);
    if (!polled) outcome = std::unexpected(std::move(polled).error());
    source.commit();
  }
  source.untrack_slot(kSelfCheckSlot);
  return outcome;
}

}  // namespace cicd
