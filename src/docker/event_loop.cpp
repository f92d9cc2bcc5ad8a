// SPDX-License-Identifier: Apache-2.0
#include "docker/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace cicd {

namespace {

constexpr int kEventsAtOnce = 128;

std::uint64_t token_of(int fd, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::make() {
  auto loop = std::make_unique<EventLoop>();
  loop->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return fail_errno(errno, "epoll_create1");
  return loop;
}

bool EventLoop::add(int fd, std::shared_ptr<EventHandler> handler) {
  const auto index = static_cast<std::size_t>(fd);
  if (slots_.size() <= index) slots_.resize(index + 1);
  Slot& slot = slots_[index];
  slot.generation += 1;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = token_of(fd, slot.generation);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  slot.handler = std::move(handler);
  return true;
}

void EventLoop::remove(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= slots_.size() || !slots_[index].handler) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  slots_[index].generation += 1;
  slots_[index].handler.reset();
}

void EventLoop::call_again(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= slots_.size() || !slots_[index].handler) return;
  const std::uint64_t token = token_of(fd, slots_[index].generation);
  if (std::ranges::find(again_, token) == again_.end()) again_.push_back(token);
}

EventLoop::TimerId EventLoop::call_at(Clock::time_point when, std::function<void()> what) {
  const TimerId id{when, next_timer_++};
  timers_.emplace(id, std::move(what));
  return id;
}

void EventLoop::call(std::uint64_t token, std::uint32_t events) {
  const auto index = static_cast<std::size_t>(token & 0xffffffffu);
  if (index >= slots_.size() || slots_[index].generation != token >> 32) return;
  // A copy: the handler may remove itself.
  const std::shared_ptr<EventHandler> handler = slots_[index].handler;
  if (handler) handler->on_event(static_cast<int>(index), events);
}

void EventLoop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= Clock::now()) {
    const auto what = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    what();
  }
}

int EventLoop::patience_ms() const {
  if (!again_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.first - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void EventLoop::clear() {
  // What goes with a handler may remove others.
  const auto slots = std::exchange(slots_, {});
  const auto timers = std::exchange(timers_, {});
}

void EventLoop::run() {
  std::array<epoll_event, kEventsAtOnce> events{};
  while (!is_stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, patience_ms());
    for (int i = 0; i < count; ++i) {
      call(events[static_cast<std::size_t>(i)].data.u64,
           events[static_cast<std::size_t>(i)].events);
    }
    for (const std::uint64_t token : std::exchange(again_, {})) call(token, 0);
    run_timers();
  }
}

}  // namespace cicd
