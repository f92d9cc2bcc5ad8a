// SPDX-License-Identifier: Apache-2.0
#include "egress/dns_redirect.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "egress/network_namespace.h"
#include "wire/egress.h"

namespace cicd {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kEndPatience{1'000};
constexpr std::size_t kMaxAnswerBytes = 16 * 1024;
// Of nft, which reads what the job has in its tables.
constexpr rlim_t kMaxMemoryBytes = 128 * 1024 * 1024;
constexpr rlim_t kMaxCpuSeconds = 3;
constexpr std::uint16_t kZone = 0x6369;  // of connection tracking

// As nft lists a chain that is there; what it repeats of a command that failed has no tabs.
constexpr std::string_view kIsThere = "\n\tchain output {";
constexpr std::string_view kIsWrong = "Error";

// One transaction, and what tells whether it has worked. Before Docker's rules for its resolver,
// and those of the job, which have the usual priority (dstnat, -100). An earlier table of the name
// is taken away, and added first, so that there is one to take away.
//
// What was sent before the table was there has been denied, but where connections were tracked
// already it is known as one that is not redirected, and would stay so for as long as the job tries
// again from that port. So what is marked is tracked apart: in a zone of ours, on its way there.
std::string commands(std::uint16_t port, bool has_owner) {
  const std::string table = DnsRedirect::kTable;
  const std::string marked = "meta mark " + std::to_string(CICD_RAW_SOCKET_MARK);
  const auto questions = [&](const std::string& what) {
    return marked + " udp dport 53 " + what + "; " + marked + " tcp dport 53 " + what + "; ";
  };
  return "add table " + table + "; delete table " + table + "; table " + table + " { " +
         (has_owner ? "flags owner; " : "") +
         "chain zone { type filter hook output priority -300; " +
         questions("ct original zone set " + std::to_string(kZone)) +
         "}; chain output { type nat hook output priority -101; " +
         questions("redirect to :" + std::to_string(port)) + "}; }\nlist table " + table + "\n";
}

// A terminal's signals are not for it, and nothing of ours goes on in it.
struct SpawnPlan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  explicit SpawnPlan(int stdio) {
    ::posix_spawn_file_actions_init(&actions);
    for (const int fd : {0, 1, 2}) ::posix_spawn_file_actions_adddup2(&actions, stdio, fd);
    ::posix_spawnattr_init(&attributes);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnPlan() {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

void limit(pid_t pid, __rlimit_resource what, rlim_t most) {
  const rlimit value{most, most};
  ::prlimit(pid, what, &value, nullptr);
}

}  // namespace

std::string DnsRedirect::find_nft() {
  for (const char* path : {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

DnsRedirect::DnsRedirect(std::string nft, UniqueFd netns, std::uint16_t port)
    : nft_(std::move(nft)), netns_(std::move(netns)), port_(port) {}

DnsRedirect::~DnsRedirect() {
  end();
  wait_for_nft();
}

Result<std::unique_ptr<DnsRedirect>> DnsRedirect::start(std::string nft, UniqueFd netns,
                                                        std::uint16_t port) {
  std::unique_ptr<DnsRedirect> out(new DnsRedirect(std::move(nft), std::move(netns), port));
  CICD_TRY(out->start_nft());
  return out;
}

Result<> DnsRedirect::start_nft() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(errno, "socket pair for nft");
  }
  talk_ = UniqueFd(ends[0]);
  const UniqueFd theirs(ends[1]);
  CICD_TRY(within_netns(netns_.get(), [&] { return spawn(theirs.get()); }));
  // Before it is told anything.
  limit(pid_, RLIMIT_AS, kMaxMemoryBytes);
  limit(pid_, RLIMIT_CPU, kMaxCpuSeconds);
  limit(pid_, RLIMIT_CORE, 0);
  deadline_ = steady_clock::now() + kPatience;
  said_.clear();
  const std::string text = commands(port_, has_owner_);
  if (::send(talk_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return fail_errno(errno, "talk to nft");
  }
  return {};
}

Result<> DnsRedirect::spawn(int stdio) {
  const SpawnPlan plan(stdio);
  std::string interactive = "-i";
  // It would leave a history of its commands at home.
  std::string home = "HOME=/dev/null";
  std::array<char*, 3> arguments{nft_.data(), interactive.data(), nullptr};
  std::array<char*, 2> environment{home.data(), nullptr};
  const int error = ::posix_spawn(&pid_, nft_.c_str(), &plan.actions, &plan.attributes,
                                  arguments.data(), environment.data());
  if (error == 0) return {};
  pid_ = 0;
  return fail_errno(error, "start " + nft_);
}

DnsRedirect::State DnsRedirect::advance() {
  if (state_ == State::kFailed) return state_;
  const bool is_alive = read_answer();
  if (state_ == State::kThere) {
    said_.clear();
    if (!is_alive) give_up();
    return state_;
  }
  const bool is_wrong = said_.find(kIsWrong) != std::string::npos;
  if (is_alive && !is_wrong && said_.find(kIsThere) != std::string::npos) {
    state_ = State::kThere;
    netns_.reset();
    return state_;
  }
  const bool is_late = steady_clock::now() >= deadline_;
  if (is_alive && !is_wrong && !is_late && said_.size() < kMaxAnswerBytes) return state_;
  // This kernel or this nft may know no owners. One that is late is not asked twice.
  const bool tries_again = has_owner_ && is_wrong && !is_late;
  has_owner_ = false;
  give_up();
  if (tries_again && start_nft()) state_ = State::kPutting;
  return state_;
}

bool DnsRedirect::read_answer() {
  std::array<char, 4096> part;
  while (said_.size() < kMaxAnswerBytes) {
    const ssize_t got = ::recv(talk_.get(), part.data(), part.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    said_.append(part.data(), static_cast<std::size_t>(got));
  }
  return true;
}

// It has put nothing, or is not to be waited for.
void DnsRedirect::give_up() {
  state_ = State::kFailed;
  if (pid_ == 0) return;
  ::kill(-pid_, SIGKILL);  // a process group of its own
  wait_for_nft();
}

void DnsRedirect::end() {
  if (pid_ == 0) return;
  if (!has_owner_) {
    const std::string text = std::string("delete table ") + kTable + "\n";
    ::send(talk_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ::shutdown(talk_.get(), SHUT_WR);  // it goes at the end of its input
}

void DnsRedirect::wait_for_nft() {
  if (pid_ == 0) return;
  const auto end = steady_clock::now() + kEndPatience;
  pollfd talk{talk_.get(), POLLIN, 0};
  std::array<char, 4096> rest;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now()).count();
    if (left <= 0 || ::poll(&talk, 1, static_cast<int>(left)) <= 0) break;
    if (::recv(talk_.get(), rest.data(), rest.size(), MSG_DONTWAIT) <= 0) break;
  }
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = 0;
  talk_.reset();
}

}  // namespace cicd
