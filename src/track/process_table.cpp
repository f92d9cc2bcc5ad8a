// SPDX-License-Identifier: Apache-2.0
#include "track/process_table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "track/exec_image.h"

namespace cicd {

ProcessTable::~ProcessTable() {
  // Chains of one pid are as long as the table lets them get: not by recursion.
  for (auto& [pid, head] : by_pid_) {
    while (head) head = std::move(head->same_pid);
  }
}

ProcessEntry* ProcessTable::find(std::uint32_t pid, std::uint64_t start_time_ns) const {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end()) return nullptr;
  ProcessEntry* entry = found->second.get();
  while (entry != nullptr && entry->start_time_ns != start_time_ns) entry = entry->same_pid.get();
  return entry;
}

ProcessEntry* ProcessTable::find_live(std::uint32_t pid) const {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end()) return nullptr;
  ProcessEntry* entry = found->second.get();
  while (entry != nullptr && entry->is_ended) entry = entry->same_pid.get();
  return entry;
}

ProcessEntry& ProcessTable::add(std::uint32_t pid, std::uint64_t start_time_ns, std::uint32_t slot,
                                ProcessRef picture) {
  auto entry = std::make_unique<ProcessEntry>();
  entry->pid = pid;
  entry->slot = slot;
  entry->start_time_ns = start_time_ns;
  entry->current = std::move(picture);
  std::unique_ptr<ProcessEntry>& head = by_pid_[pid];
  entry->same_pid = std::move(head);
  head = std::move(entry);
  push_back(live_, *head);
  weigh(*head);
  ProcessEntry& added = *head;
  drop_old_generations(added);
  return added;
}

// A pid cannot come round often within the grace time; without this a made-up recording could make
// every look-up walk a long chain.
void ProcessTable::drop_old_generations(ProcessEntry& newest) {
  std::size_t generations = 1;
  ProcessEntry* oldest = &newest;
  while (oldest->same_pid) {
    oldest = oldest->same_pid.get();
    ++generations;
  }
  if (generations > kMaxGenerations) erase(*oldest);
}

void ProcessTable::replace(ProcessEntry& entry, ProcessRef picture) {
  ProcessRef before = std::exchange(entry.current, std::move(picture));
  add_older(entry, std::move(before));
}

void ProcessTable::add_older(ProcessEntry& entry, ProcessRef picture) {
  if (entry.older.size() >= kMaxOlderPictures) entry.older.erase(entry.older.begin());
  entry.older.push_back(std::move(picture));
  weigh(entry);
}

void ProcessTable::end(ProcessEntry& entry, std::uint64_t time_ns) {
  if (entry.is_ended) return;
  unlink(live_, entry);
  entry.is_ended = true;
  entry.end_time_ns = time_ns;
  push_back(ended_, entry);
  ended_bytes_ += entry.bytes;
}

void ProcessTable::prune(std::uint64_t now_ns) {
  while (ended_.first != nullptr) {
    ProcessEntry& oldest = *ended_.first;
    const bool is_old =
        now_ns > oldest.end_time_ns && now_ns - oldest.end_time_ns > limits_.exited_grace_ns;
    if (!is_old && ended_.size <= limits_.max_ended && ended_bytes_ <= limits_.max_ended_bytes) {
      return;
    }
    erase(oldest);
  }
}

void ProcessTable::erase_slot(std::uint32_t slot) {
  for (List* list : {&live_, &ended_}) {
    for (ProcessEntry* entry = list->first; entry != nullptr;) {
      ProcessEntry* const next = entry->next;
      if (entry->slot == slot) erase(*entry);
      entry = next;
    }
  }
}

void ProcessTable::push_back(List& list, ProcessEntry& entry) {
  entry.previous = list.last;
  entry.next = nullptr;
  (list.last != nullptr ? list.last->next : list.first) = &entry;
  list.last = &entry;
  ++list.size;
}

void ProcessTable::unlink(List& list, ProcessEntry& entry) {
  (entry.previous != nullptr ? entry.previous->next : list.first) = entry.next;
  (entry.next != nullptr ? entry.next->previous : list.last) = entry.previous;
  --list.size;
}

void ProcessTable::erase(ProcessEntry& entry) {
  unlink(entry.is_ended ? ended_ : live_, entry);
  if (entry.is_ended) ended_bytes_ -= entry.bytes;
  const auto found = by_pid_.find(entry.pid);
  std::unique_ptr<ProcessEntry>* link = &found->second;
  while (link->get() != &entry) link = &(*link)->same_pid;
  std::unique_ptr<ProcessEntry> gone = std::move(*link);
  *link = std::move(gone->same_pid);
  if (!found->second) by_pid_.erase(found);
}

void ProcessTable::weigh(ProcessEntry& entry) {
  std::size_t bytes = sizeof(ProcessEntry) + sizeof(Process) + weight_of(*entry.current->image);
  for (const ProcessRef& picture : entry.older) {
    bytes += sizeof(Process) + weight_of(*picture->image);
  }
  if (entry.is_ended) ended_bytes_ += bytes - entry.bytes;
  entry.bytes = bytes;
}

ProcessRef cut_chain(const ProcessRef& picture, int depth) {
  std::array<const Process*, static_cast<std::size_t>(kMaxAncestorDepth) + 1> chain{};
  std::size_t length = 0;
  const auto wanted = static_cast<std::size_t>(std::clamp(depth, 0, kMaxAncestorDepth)) + 1;
  for (const Process* at = picture.get(); at != nullptr && length < wanted; at = at->parent.get()) {
    chain[length++] = at;
  }
  ProcessRef parent;
  while (length > 0) {
    auto copy = std::make_shared<Process>(*chain[--length]);
    copy->depth = parent ? parent->depth + 1 : 0;
    copy->parent = std::move(parent);
    parent = std::move(copy);
  }
  return parent;
}

}  // namespace cicd
