// SPDX-License-Identifier: Apache-2.0
// ActSequence: have rules fired in this order in one tree of processes? For sequence() of
// correlations.
//
// A tree is a process below the first one of the job, with all of its descendants. The first one's
// own acts count in every tree: what it reads, its children can send. So acts of two children of
// the first process are not of one tree, those of an install script and all that it started are.
// Each tree looks for the next rule of the sequence only; an event takes it one rule on.
//
// Who the first process is, the chain of an event's process says: it is its end. One thread. Keeps
// at most kMostTrees trees, those that moved last; allocates while it grows to that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "event/event_record.h"

namespace cicd {

class ActSequence {
 public:
  static constexpr std::size_t kMostTrees = 4096;

  // Indices of rules, the first of the sequence first.
  explicit ActSequence(std::vector<std::uint32_t> rules) : rules_(std::move(rules)) {}

  // The rules that an event fired, in ascending order.
  void add(const EventRecord& record, std::span<const std::uint32_t> fired);
  // From the event on that completed it.
  bool is_complete() const { return is_complete_; }
  // Trees that had begun the sequence and were let go.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  // A process, until the machine starts anew.
  struct Id {
    std::uint64_t start_time_ns = 0;
    std::uint32_t pid = 0;
    auto operator<=>(const Id&) const = default;
  };
  struct Tree {
    Id process;
    Id top;                // the first process; of the tree of the first process itself the same
    std::size_t done = 0;  // rules of the sequence that have fired
    std::uint64_t touched = 0;
  };

  static Id id_of(const Process& process) { return {process.start_time_ns, process.pid}; }
  std::size_t next(std::size_t done, std::span<const std::uint32_t> fired) const;
  void add_act_of_top(const Id& top, std::span<const std::uint32_t> fired);
  Tree* find(const Id& process);
  // The tree of `process` gets on to `done`, made when it is not there.
  void move(const Id& process, const Id& top, std::size_t done);

  std::vector<std::uint32_t> rules_;
  std::vector<Tree> trees_;  // in order of their process
  std::uint64_t clock_ = 0;
  std::uint64_t forgotten_ = 0;
  bool is_complete_ = false;
};

}  // namespace cicd
