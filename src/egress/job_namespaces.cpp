// SPDX-License-Identifier: Apache-2.0
#include "egress/job_namespaces.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/priority.h"

namespace cicd {

namespace {

using std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLookPause{1'000};
constexpr std::ptrdiff_t kTablesAtOnce = 4;  // that are being put

std::string path_of(std::uint32_t tid) { return "/proc/" + std::to_string(tid) + "/ns/net"; }

// None: the thread has moved on since it was seen there. What counts is where it is now.
UniqueFd open_netns(std::uint32_t tid, std::uint32_t netns) {
  UniqueFd fd(::open(path_of(tid).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat now{};
  const bool is_there = fd && ::fstat(fd.get(), &now) == 0 && now.st_ino == netns;
  return is_there ? std::move(fd) : UniqueFd();
}

// 0: the process has gone.
std::uint32_t netns_of(std::uint32_t tid) {
  struct stat info{};
  if (::stat(path_of(tid).c_str(), &info) != 0) return 0;
  return static_cast<std::uint32_t>(info.st_ino);
}

}  // namespace

JobNamespaces::~JobNamespaces() {
  is_over_ = true;
  wake();
  worker_.join();
  for (const auto& [netns, served] : served_) {
    if (served.redirect) served.redirect->end();
  }
}

Result<> JobNamespaces::start() {
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return fail_errno(errno, "eventfd of the network namespaces");
  struct stat own{};
  if (::stat("/proc/self/ns/net", &own) != 0) {
    return fail_errno(errno, "look at the network namespace");
  }
  own_netns_ = static_cast<std::uint32_t>(own.st_ino);
  {
    const std::lock_guard lock(mutex_);
    CICD_TRY(take_asks());
  }
  worker_.start("namespaces", [this] { run(); });
  return {};
}

void JobNamespaces::wake() const {
  if (wake_) ::eventfd_write(wake_.get(), 1);
}

void JobNamespaces::run() {
  // A program that has just been started asks within a millisecond; without the right to this it
  // may come first on a busy machine.
  [[maybe_unused]] const bool is_first = go_before_all();
  auto next_look = steady_clock::now() + kLookPause;
  while (!is_over_) {
    wait(next_look);
    const std::lock_guard lock(mutex_);
    [[maybe_unused]] const Result<> taken = take_asks();  // the first was at the start
    put_tables();
    if (steady_clock::now() < next_look) continue;
    look_for_empty();
    next_look = steady_clock::now() + kLookPause;
  }
}

void JobNamespaces::wait(steady_clock::time_point next_look) {
  std::vector<pollfd> waiting{{wake_.get(), POLLIN, 0}, {control_.netns_asks_fd(), POLLIN, 0}};
  int wait_ms = -1;
  {
    const std::lock_guard lock(mutex_);
    if (!served_.empty() || !refused_.empty()) {
      const auto left = next_look - steady_clock::now();
      wait_ms = static_cast<int>(
          std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count(), 0));
    }
    for (const auto& [netns, served] : served_) {
      if (served.redirect) waiting.push_back({served.redirect->fd(), POLLIN, 0});
    }
  }
  // A table that is taken away meanwhile may leave its descriptor's number to another: no harm.
  ::poll(waiting.data(), waiting.size(), wait_ms);
  eventfd_t value = 0;
  ::eventfd_read(wake_.get(), &value);
}

Result<> JobNamespaces::take_asks() {
  CICD_ASSIGN(const auto asks, control_.netns_asks());
  for (const cicd_netns_ask& ask : asks) {
    if (ask.wants_table != 0) {
      want_table(ask.tid, ask.netns);
    } else {
      serve(ask.slot, ask.tid, ask.netns);
    }
  }
  return {};
}

bool JobNamespaces::has_room(std::uint32_t slot) const {
  const auto of_job = std::ranges::count_if(
      served_, [slot](const auto& entry) { return entry.second.slot == slot; });
  return served_.size() < kMaxOfAll && static_cast<std::size_t>(of_job) < kMaxOfJob;
}

void JobNamespaces::serve(std::uint32_t slot, std::uint32_t tid, std::uint32_t netns) {
  if (netns == own_netns_ || served_.contains(netns)) return;
  const auto job = jobs_.find(slot);
  const UniqueFd fd = open_netns(tid, netns);
  if (job == jobs_.end() || !fd) {
    control_.stop_serving(netns);  // it may be asked for again, now
    return;
  }
  if (!has_room(slot)) {
    ++job->second.too_many;
    refused_.insert(netns);
    return;
  }
  if (!resolver_.listen_in(fd.get())) {
    ++job->second.failed;
    refused_.insert(netns);
    return;
  }
  ++job->second.served;
  served_[netns].slot = slot;
}

void JobNamespaces::want_table(std::uint32_t tid, std::uint32_t netns) {
  const auto found = served_.find(netns);
  if (found == served_.end() || found->second.redirect || nft_.empty()) return;
  found->second.waits = open_netns(tid, netns);
  if (found->second.waits) return;
  // The next raw socket asks again.
  [[maybe_unused]] const Result<> again = control_.serve_netns(netns, false);
}

bool JobNamespaces::has_room_for_table(std::uint32_t slot) const {
  std::size_t of_job = 0;
  std::size_t of_all = 0;
  for (const auto& [netns, served] : served_) {
    if (!served.redirect) continue;
    ++of_all;
    if (served.slot == slot) ++of_job;
  }
  return of_all < kMaxTables && of_job < kMaxTablesOfJob;
}

void JobNamespaces::count_unled(const Served& served) {
  if (const auto job = jobs_.find(served.slot); job != jobs_.end()) ++job->second.unled;
}

void JobNamespaces::advance(Served& served) {
  if (!served.redirect || served.redirect->advance() != DnsRedirect::State::kFailed) return;
  served.redirect.reset();
  count_unled(served);
}

// Goes on with those that are begun, and begins with others.
void JobNamespaces::put_tables() {
  std::ptrdiff_t at_once = 0;
  for (auto& [netns, served] : served_) {
    advance(served);
    at_once += served.redirect && served.redirect->state() == DnsRedirect::State::kPutting ? 1 : 0;
  }
  for (auto& [netns, served] : served_) {
    if (!served.waits || at_once >= kTablesAtOnce) continue;
    UniqueFd fd = std::move(served.waits);
    auto begun = has_room_for_table(served.slot)
                     ? DnsRedirect::start(nft_, std::move(fd), resolver_.port())
                     : fail(ErrorCode::kResource, "tables of nftables");
    if (begun) {
      served.redirect = std::move(*begun);
      ++at_once;
    } else {
      count_unled(served);
    }
  }
}

std::set<std::uint32_t> JobNamespaces::used() const {
  std::set<std::uint32_t> out;
  for (const auto& [slot, counters] : jobs_) {
    for (const std::uint32_t pid : control_.processes(slot)) out.insert(netns_of(pid));
  }
  return out;
}

void JobNamespaces::look_for_empty() {
  for (const std::uint32_t netns : std::exchange(refused_, {})) control_.stop_serving(netns);
  if (served_.empty()) return;
  const std::set<std::uint32_t> used = this->used();
  std::vector<std::uint32_t> left;
  for (auto& [netns, served] : served_) {
    const bool is_empty = !used.contains(netns);
    if (is_empty && served.was_empty) left.push_back(netns);
    served.was_empty = is_empty;
  }
  leave(left);
}

void JobNamespaces::leave(std::span<const std::uint32_t> left) {
  for (const std::uint32_t netns : left) {
    if (const auto& redirect = served_[netns].redirect) redirect->end();
  }
  for (const std::uint32_t netns : left) {
    served_.erase(netns);
    resolver_.stop_listening(netns);
  }
}

void JobNamespaces::add_job(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  jobs_.try_emplace(slot);
  for (const std::uint32_t pid : control_.processes(slot)) {
    if (const std::uint32_t netns = netns_of(pid); netns != 0) serve(slot, pid, netns);
  }
  wake();  // there may be something to look at from now on
}

JobNamespaces::Counters JobNamespaces::remove_job(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  const auto job = jobs_.find(slot);
  if (job == jobs_.end()) return {};
  const Counters counters = job->second;
  jobs_.erase(job);
  std::vector<std::uint32_t> own;
  for (const auto& [netns, served] : served_) {
    if (served.slot == slot) own.push_back(netns);
  }
  // To look at the processes of all jobs takes a while, and most jobs have no other namespace.
  if (own.empty()) return counters;
  const std::set<std::uint32_t> used = this->used();
  std::erase_if(own, [&](std::uint32_t netns) { return used.contains(netns); });
  leave(own);
  return counters;
}

}  // namespace cicd
