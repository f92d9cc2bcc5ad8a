// SPDX-License-Identifier: Apache-2.0
#include "job/termination.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/unique_fd.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr milliseconds kPause{1};
// How often those in the cgroup are signalled again: what died of the first time is left to die.
constexpr milliseconds kSweepPause{100};

auto key_of(const TrackedProcess& process) { return std::pair(process.pid, process.start_time_ns); }

bool is_in(const std::vector<pid_t>& sorted, std::uint32_t pid) {
  return std::ranges::binary_search(sorted, static_cast<pid_t>(pid));
}

std::string read_proc(pid_t pid, const char* name) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  std::string text(8192, '\0');
  const ssize_t got = ::read(fd.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

struct Stat {
  char state = 'X';
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;
};

// Fields 3, 20 and 22 of stat. The name in field 2 may hold anything: counting starts behind its
// last ')'.
Stat read_stat(pid_t pid) {
  const std::string text = read_proc(pid, "stat");
  const std::size_t paren = text.rfind(')');
  Stat stat;
  if (paren == std::string::npos) return stat;
  std::string_view rest = std::string_view(text).substr(paren + 1);
  for (int field = 3; field <= 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return {};
    rest.remove_prefix(space + 1);
    if (field == 3 && !rest.empty()) stat.state = rest.front();
    const char* const end = rest.data() + rest.size();
    if (field == 20) std::from_chars(rest.data(), end, stat.threads);
    if (field == 22) std::from_chars(rest.data(), end, stat.start_ticks);
  }
  return stat;
}

bool is_in_cgroup(pid_t pid, const std::string& cgroup_path) {
  const std::string text = read_proc(pid, "cgroup");
  const std::size_t start = text.starts_with("0::") ? 0 : text.find("\n0::");
  if (start == std::string::npos) return false;
  std::string_view path = std::string_view(text).substr(start + (start == 0 ? 3 : 4));
  path = path.substr(0, path.find('\n'));
  return path.starts_with(cgroup_path) &&
         (path.size() == cgroup_path.size() || path[cgroup_path.size()] == '/');
}

UniqueFd open_pidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool send_kill(const UniqueFd& pidfd) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0;
}

// The pidfd is opened first: should the pid be given away after that, the signal finds nobody.
bool kill_in_cgroup(pid_t pid, const std::string& cgroup_path) {
  const UniqueFd pidfd = open_pidfd(pid);
  return pidfd && is_in_cgroup(pid, cgroup_path) && send_kill(pidfd);
}

bool is_alive(const TrackedProcess& process) {
  if (process.start_time_ns == 0) return false;
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t ticks = process.start_time_ns / (kNsPerSecond / ticks_per_second);
  const Stat stat = read_stat(static_cast<pid_t>(process.pid));
  // The first thread can be gone while others run.
  const bool is_dead = (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1;
  return stat.start_ticks == ticks && !is_dead;
}

// As far as we may: a fork bomb leaves an ordinary thread no time.
void raise_priority() {
  sched_param param{};
  param.sched_priority = 1;
  if (::sched_setscheduler(0, SCHED_FIFO, &param) == 0) return;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -20);
}

void move_to(const std::string& dir, pid_t pid) {
  const UniqueFd procs(::open((dir + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(pid);
  if (procs) [[maybe_unused]]
    const ssize_t written = ::write(procs.get(), text.data(), text.size());
}

}  // namespace

TerminationPlan plan_termination(const std::vector<pid_t>& in_cgroup,
                                 const std::vector<TrackedProcess>& tracked,
                                 const TerminationTarget& target) {
  std::vector<pid_t> members;
  for (const TrackedProcess& process : tracked) members.push_back(static_cast<pid_t>(process.pid));
  std::ranges::sort(members);
  const auto is_own = [&](pid_t pid) {
    return std::ranges::find(target.own, pid) != target.own.end();
  };
  TerminationPlan plan;
  plan.kills_cgroup = true;
  for (const pid_t pid : in_cgroup) {
    const bool is_spared = is_own(pid) || (!target.is_made_for_job &&
                                           !is_in(members, static_cast<std::uint32_t>(pid)));
    if (is_spared) {
      plan.kills_cgroup = false;
    } else if (pid != 0) {
      plan.inside.push_back(pid);
    }
  }
  for (const TrackedProcess& process : tracked) {
    if (is_in(in_cgroup, process.pid) || is_own(static_cast<pid_t>(process.pid))) continue;
    plan.escaped.push_back(process);
  }
  return plan;
}

bool kill_tracked(const TrackedProcess& process) {
  const UniqueFd pidfd = open_pidfd(static_cast<pid_t>(process.pid));
  return pidfd && is_alive(process) && send_kill(pidfd);
}

Terminator::Terminator(TerminationTarget target)
    : target_(std::move(target)), containers_(target_.containers, target_.own) {}

bool Terminator::strike() {
  if (is_claimed_.exchange(true)) return false;
  struck_at_ = Clock::now();
  // A job with the rights for it can have put us in there: that would be the end of us.
  if (target_.cgroup && !is_in_cgroup(::getpid(), target_.cgroup_path)) {
    target_.cgroup->freeze(true);
  }
  containers_.freeze();
  is_struck_.store(true, std::memory_order_release);
  try {
    worker_.start("cicd-terminate", [this] { hunt(); });
  } catch (const std::system_error&) {
    hunt();  // no thread to be had: then whoever strikes waits
  }
  return true;
}

void Terminator::hunt() {
  raise_priority();
  begin();
  while (!round()) {
    if (Clock::now() - struck_at_ > target_.limit) break;
    std::this_thread::sleep_for(kPause);
  }
  report_.duration = Clock::now() - struck_at_;
  report_.left = count_alive();
  if (target_.cgroup) target_.cgroup->freeze(false);
  containers_.thaw();
  is_done_.store(true, std::memory_order_release);
  is_done_.notify_all();
}

std::vector<pid_t> Terminator::members() const {
  return target_.cgroup ? target_.cgroup->processes() : std::vector<pid_t>{};
}

bool Terminator::is_populated() const {
  return target_.cgroup && target_.cgroup->is_populated().value_or(true);
}

void Terminator::begin() {
  const std::vector<pid_t> before = members();
  for (const pid_t pid : target_.own) {
    if (is_in(before, static_cast<std::uint32_t>(pid))) move_to(target_.refuge_dir, pid);
  }
  frozen_ = members();
  if (target_.may_use_kill_file) contained_ = containers_.kill();
  const TerminationPlan plan = plan_termination(frozen_, target_.tracked(), target_);
  report_.processes = plan.inside.size() + contained_.size();
  is_whole_ = plan.kills_cgroup;
  if (target_.cgroup) {
    target_.cgroup->freeze(is_whole_);
    report_.used_kill_file = is_whole_ && target_.may_use_kill_file && target_.cgroup->kill();
    if (!report_.used_kill_file) kill_inside(plan);
  } else {
    report_.used_kill_file = !contained_.empty();
  }
  kill_escaped(plan.escaped);
  next_sweep_ = Clock::now() + kSweepPause;
}

void Terminator::kill_inside(const TerminationPlan& plan) {
  for (const pid_t pid : plan.inside) kill_in_cgroup(pid, target_.cgroup_path);
}

void Terminator::kill_escaped(const std::vector<TrackedProcess>& escaped) {
  for (const TrackedProcess& process : escaped) {
    // One SIGKILL is enough, however long it takes to die.
    const auto at = std::ranges::lower_bound(signalled_, key_of(process), {}, key_of);
    if (at != signalled_.end() && *at == process) continue;
    if (!kill_tracked(process)) continue;
    signalled_.insert(at, process);
    if (!is_in(contained_, process.pid)) ++report_.escaped;
  }
}

// True: nothing of the job lives.
bool Terminator::round() {
  const bool is_inhabited = is_populated();
  const bool is_time = Clock::now() >= next_sweep_;
  const bool sweeps = is_inhabited && (!is_whole_ || is_time);
  if (is_time) next_sweep_ = Clock::now() + kSweepPause;
  // One that dockerd was about to start is there only now.
  if (is_time && target_.may_use_kill_file) {
    const std::vector<pid_t> more = containers_.kill();
    std::vector<pid_t> all;
    std::ranges::set_union(contained_, more, std::back_inserter(all));
    contained_.swap(all);
  }
  const TerminationPlan plan =
      plan_termination(sweeps ? members() : frozen_, target_.tracked(), target_);
  if (sweeps) {
    if (report_.used_kill_file && plan.kills_cgroup) target_.cgroup->kill();
    kill_inside(plan);
  }
  kill_escaped(plan.escaped);
  // Who is spared populates the cgroup too.
  const bool is_inside = is_whole_ ? is_inhabited : is_inhabited && !plan.inside.empty();
  return !is_inside && !containers_.is_populated() && std::ranges::none_of(plan.escaped, is_alive);
}

std::size_t Terminator::count_alive() const {
  const TerminationPlan plan = plan_termination(members(), target_.tracked(), target_);
  return plan.inside.size() +
         static_cast<std::size_t>(std::ranges::count_if(plan.escaped, is_alive));
}

}  // namespace cicd
