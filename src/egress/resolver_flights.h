// SPDX-License-Identifier: Apache-2.0
// Flights: the questions that wait for an upstream. A flight has an id that no other one has, and
// stands in one line (by how long it may wait) whose first is the next to be over.
//
// Threads: the resolver's. Flights do not move; those that were given back are used again, with
// their memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "egress/resolver_question.h"
#include "egress/resolver_upstream.h"
#include "wire/egress.h"

namespace cicd {

// Where the reply goes.
struct Origin {
  bool is_stream = false;
  std::uint32_t index = 0;          // of the listener, or of the stream
  std::uint64_t stream_number = 0;  // streams use an index one after the other
  std::uint8_t peer_bytes = 0;
  std::array<std::uint8_t, 28> peer{};  // sockaddr_in or sockaddr_in6
};

// A question over TCP to an upstream.
struct UpstreamCall {
  UniqueFd fd;
  std::vector<std::uint8_t> out;
  std::size_t sent = 0;
  std::vector<std::uint8_t> in;
};

inline constexpr std::size_t kMaxTries = 4;
inline constexpr std::size_t kCallLine = kMaxTries;  // the line of those that ask over TCP
inline constexpr std::size_t kDockerLine =
    kCallLine + 1;  // and of those that ask Docker's resolver

struct Flight {
  std::uint32_t number = 0;  // its place; never changes
  bool is_used = false;
  std::uint16_t id = 0;  // on the wire
  DnsAsk ask;
  Origin origin;
  cicd_dns_client client{};
  std::uint64_t job_number = 0;
  std::array<std::uint8_t, 255> sent_name{};  // with our letter case
  Upstream* upstream = nullptr;               // null as long as `asks_docker`
  bool asks_docker = false;  // over TCP in the client's namespace; the upstreams come after that
  std::uint8_t socket = 0;
  std::size_t first = 0;  // which upstream of the job was asked first
  std::uint8_t tries = 0;
  bool has_socket = false;  // it waits on `socket`
  std::unique_ptr<UpstreamCall> call;

  std::span<const std::uint8_t> wire_name() const { return {sent_name.data(), ask.name_bytes}; }

  // Of Flights.
  std::uint64_t end_ns = 0;
  std::size_t line = 0;  // and one; 0: in none
  Flight* before = nullptr;
  Flight* after = nullptr;
};

class Flights {
 public:
  // `max` is below 32768.
  explicit Flights(std::size_t max) : max_(max), by_id_(65'536, kNone) {}

  std::size_t size() const { return size_; }
  // A new one, without an id; null when there are `max`.
  Flight* take() {
    if (size_ == max_) return nullptr;
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(flights_.size()));
      flights_.emplace_back().number = free_.back();
    }
    Flight& flight = flights_[free_.back()];
    free_.pop_back();
    ++size_;
    flight.is_used = true;
    flight.tries = 0;
    flight.has_socket = false;
    flight.asks_docker = false;
    flight.upstream = nullptr;
    return &flight;
  }
  void give_back(Flight& flight) {
    forget_id(flight);
    leave_line(flight);
    flight.call.reset();
    flight.is_used = false;
    free_.push_back(flight.number);
    --size_;
  }

  // There are far more ids than flights, so this ends soon.
  void new_id(Flight& flight, RandomBytes& random) {
    forget_id(flight);
    do {
      flight.id = random.u16();
    } while (by_id_[flight.id] != kNone);
    by_id_[flight.id] = static_cast<std::uint16_t>(flight.number);
  }
  Flight* of_id(std::uint16_t id) { return by_id_[id] == kNone ? nullptr : &flights_[by_id_[id]]; }
  Flight* of_number(std::uint32_t number) {
    return number < flights_.size() && flights_[number].is_used ? &flights_[number] : nullptr;
  }

  // All of a line wait equally long, so the last to come is the last to end.
  void wait(Flight& flight, std::size_t line, std::uint64_t end_ns) {
    leave_line(flight);
    Line& into = lines_[line];
    flight.end_ns = end_ns;
    flight.before = into.last;
    flight.after = nullptr;
    (into.last != nullptr ? into.last->after : into.first) = &flight;
    into.last = &flight;
    flight.line = line + 1;
  }
  Flight* first(std::size_t line) { return lines_[line].first; }
  std::uint64_t next_end_ns() const {
    std::uint64_t end_ns = UINT64_MAX;
    for (const Line& line : lines_) {
      if (line.first != nullptr && line.first->end_ns < end_ns) end_ns = line.first->end_ns;
    }
    return end_ns;
  }
  // `visit` may give back the flight that it is called with, and no other.
  template <typename Visit>
  void for_each(Visit visit) {
    for (Flight& flight : flights_) {
      if (flight.is_used) visit(flight);
    }
  }

 private:
  static constexpr std::uint16_t kNone = 0xffff;
  struct Line {
    Flight* first = nullptr;
    Flight* last = nullptr;
  };

  void forget_id(Flight& flight) {
    if (by_id_[flight.id] == flight.number) by_id_[flight.id] = kNone;
  }
  void leave_line(Flight& flight) {
    if (flight.line == 0) return;
    Line& from = lines_[flight.line - 1];
    (flight.before != nullptr ? flight.before->after : from.first) = flight.after;
    (flight.after != nullptr ? flight.after->before : from.last) = flight.before;
    flight.line = 0;
  }

  const std::size_t max_;
  std::size_t size_ = 0;
  std::deque<Flight> flights_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint16_t> by_id_;
  std::array<Line, kDockerLine + 1> lines_{};
};

}  // namespace cicd
