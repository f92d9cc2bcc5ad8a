// SPDX-License-Identifier: Apache-2.0
// ProcessTable: every process of every job, with the pictures of what it ran. Keyed by (pid, start
// time), so that a reused pid is another process; a process that ended stays for a while, because
// samples of it may still come.
//
// Thread: the pipeline thread. Entries do not move; a pointer dies when its entry is pruned,
// evicted or erased. Memory is bounded: live processes by number (the oldest goes first), ended
// ones by number, bytes and age, earlier pictures of a process by number.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "event/process.h"

namespace cicd {

struct ProcessLimits {
  std::size_t max_live = 262'144;
  std::size_t max_ended = 32'768;
  std::size_t max_ended_bytes = 64 * 1024 * 1024;
  // What all images there are may weigh, those that only a chain of parents or a record holds too;
  // beyond it new ones are kept without their arguments (marked as cut) and cwd.
  std::size_t max_image_bytes = 256 * 1024 * 1024;
  std::uint64_t exited_grace_ns = 5'000'000'000;  // in time of samples
};

// Earlier pictures kept of one process.
inline constexpr std::size_t kMaxOlderPictures = 4;
// Processes with the same pid kept at once.
inline constexpr std::size_t kMaxGenerations = 8;

struct ProcessEntry {
  std::uint32_t pid = 0;
  std::uint32_t slot = 0;
  std::uint64_t start_time_ns = 0;
  std::uint64_t end_time_ns = 0;
  bool is_ended = false;
  bool is_escaped = false;
  bool is_start_seen = false;     // by its fork; else made up from /proc or from nothing
  ProcessRef current;             // never null
  std::vector<ProcessRef> older;  // pictures before it, the newest last
  std::size_t bytes = 0;          // what its pictures' images weigh

  // Links of the table: the list it is on (live or ended), and other processes with this pid.
  ProcessEntry* previous = nullptr;
  ProcessEntry* next = nullptr;
  std::unique_ptr<ProcessEntry> same_pid;
};

class ProcessTable {
 public:
  explicit ProcessTable(const ProcessLimits& limits = {}) : limits_(limits) {}
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // The process, ended or not; null when it is not known.
  ProcessEntry* find(std::uint32_t pid, std::uint64_t start_time_ns) const;
  // The one with this pid that has not ended; null when there is none.
  ProcessEntry* find_live(std::uint32_t pid) const;
  // The live process to evict before another can be added; null while there is room.
  ProcessEntry* evictee() const { return live_.size < limits_.max_live ? nullptr : live_.first; }

  // (pid, start time) must not be in the table yet.
  ProcessEntry& add(std::uint32_t pid, std::uint64_t start_time_ns, std::uint32_t slot,
                    ProcessRef picture);
  // Makes `picture` the current one and keeps the one before it.
  void replace(ProcessEntry& entry, ProcessRef picture);
  // Adds a picture from before the current one.
  void add_older(ProcessEntry& entry, ProcessRef picture);
  void end(ProcessEntry& entry, std::uint64_t time_ns);

  // Lets ended processes go that are beyond the limits at `now_ns`.
  void prune(std::uint64_t now_ns);
  void erase_slot(std::uint32_t slot);

  std::size_t live_count() const { return live_.size; }
  std::size_t ended_count() const { return ended_.size; }

 private:
  struct List {
    ProcessEntry* first = nullptr;
    ProcessEntry* last = nullptr;
    std::size_t size = 0;
  };
  static void push_back(List& list, ProcessEntry& entry);
  static void unlink(List& list, ProcessEntry& entry);
  void erase(ProcessEntry& entry);
  void drop_old_generations(ProcessEntry& newest);
  void weigh(ProcessEntry& entry);

  ProcessLimits limits_;
  std::unordered_map<std::uint32_t, std::unique_ptr<ProcessEntry>> by_pid_;  // newest first
  List live_;   // in order of appearance
  List ended_;  // in order of end
  std::size_t ended_bytes_ = 0;
};

// A copy of the chain behind `picture`, `depth` parents long. The copies keep their ids.
ProcessRef cut_chain(const ProcessRef& picture, int depth);

}  // namespace cicd
