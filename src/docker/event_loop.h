// SPDX-License-Identifier: Apache-2.0
// EventLoop: epoll, timers, and turns for handlers that have not come to their end. Descriptors are
// watched for edges, once and for all: a handler goes on until it would block. Plain epoll rather
// than Boost.Asio, because what the proxy moves it moves with splice(2), of which Asio knows
// nothing, and an edge needs no system call to be waited for again.
//
// Threads: one. Handlers may remove themselves and others while they are called.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

class EventHandler {
 public:
  virtual ~EventHandler() = default;
  // `events` as epoll has them; 0: a turn that was asked for.
  virtual void on_event(int fd, std::uint32_t events) = 0;
};

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using TimerId = std::pair<Clock::time_point, std::uint64_t>;

  static Result<std::unique_ptr<EventLoop>> make();

  // The loop shares the handler until remove(). False: no room.
  bool add(int fd, std::shared_ptr<EventHandler> handler);
  // Before the descriptor is closed.
  void remove(int fd);
  // Calls on_event(fd, 0) after the others have had their turn.
  void call_again(int fd);
  TimerId call_at(Clock::time_point when, std::function<void()> what);
  void cancel(TimerId id) { timers_.erase(id); }

  void run();
  // Lets go of all handlers and timers.
  void clear();
  void stop() { is_stopping_ = true; }

 private:
  struct Slot {
    std::shared_ptr<EventHandler> handler;
    std::uint32_t generation = 0;  // an event of an earlier descriptor of this number is stale
  };
  void call(std::uint64_t token, std::uint32_t events);
  void run_timers();
  int patience_ms() const;

  UniqueFd epoll_;
  std::vector<Slot> slots_;  // by descriptor
  std::vector<std::uint64_t> again_;
  std::map<TimerId, std::function<void()>> timers_;
  std::uint64_t next_timer_ = 0;
  bool is_stopping_ = false;
};

}  // namespace cicd
