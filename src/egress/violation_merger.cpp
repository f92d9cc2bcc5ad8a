// SPDX-License-Identifier: Apache-2.0
#include "egress/violation_merger.h"

#include <array>
#include <bit>

namespace cicd {

namespace {

template <typename Number>
void append_bytes(std::string& key, Number number) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(number);
  key.append(bytes.data(), bytes.size());
}

// Who did what. Texts end in a NUL, which none of them holds.
void make_key(const Violation& violation, std::string& key) {
  const Process& process = *violation.record->process;
  key.clear();
  append_bytes(key, process.pid);
  append_bytes(key, process.start_time_ns);
  append_bytes(key, process.exec_id);
  append_bytes(key, violation.port);
  key.push_back(static_cast<char>(violation.verdict));
  key.push_back(static_cast<char>(violation.reason));
  key.append(violation.protocol).push_back('\0');
  key.append(violation.ip).push_back('\0');
  key.append(violation.host);
}

}  // namespace

void ViolationMerger::add(const Violation& violation, Tell tell) {
  make_key(violation, key_);
  const auto found = by_key_.find(key_);
  const std::uint64_t now_ns = violation.record->time_ns;
  if (found == by_key_.end()) {
    Entry& entry = take_entry(tell);
    entry.key = key_;
    entry.host = violation.host;
    entry.ip = violation.ip;
    entry.protocol = violation.protocol;
    entry.told_ns = now_ns;
    entry.count = entry.bytes = entry.packets = 0;
    by_key_.emplace(entry.key, std::prev(entries_.end()));
    tell(violation);
    return;
  }
  Entry& entry = *found->second;
  entry.record = *violation.record;
  entry.record.fields.fill({});  // they point into a batch
  entry.violation = violation;
  entry.violation.record = &entry.record;
  entry.violation.host = entry.host;
  entry.violation.ip = entry.ip;
  entry.violation.protocol = entry.protocol;
  entry.count += violation.count;
  pending_ += violation.count;
  entry.bytes += violation.bytes;
  entry.packets += violation.packets;
  if (now_ns < entry.told_ns + kMergeWindowNs) return;
  tell_pending(entry, tell);
  entry.told_ns = now_ns;
  entries_.splice(entries_.end(), entries_, found->second);
}

void ViolationMerger::tell_pending(Entry& entry, Tell tell) {
  if (entry.count == 0) return;
  pending_ -= entry.count;
  entry.violation.count = entry.count;
  entry.violation.bytes = entry.bytes;
  entry.violation.packets = entry.packets;
  entry.count = entry.bytes = entry.packets = 0;
  tell(entry.violation);
}

// The last of the list.
ViolationMerger::Entry& ViolationMerger::take_entry(Tell tell) {
  if (entries_.size() < kMaxMerged) return entries_.emplace_back();
  Entry& oldest = entries_.front();
  tell_pending(oldest, tell);
  by_key_.erase(oldest.key);
  oldest.record.process.reset();
  oldest.record.container.reset();
  oldest.record.step.reset();
  entries_.splice(entries_.end(), entries_, entries_.begin());
  return oldest;
}

void ViolationMerger::take_due(std::uint64_t now_ns, Tell tell) {
  for (auto at = entries_.begin(); pending_ > 0 && at != entries_.end();) {
    const auto entry = at++;
    if (now_ns != UINT64_MAX && now_ns < entry->told_ns + kMergeWindowNs) return;
    if (entry->count == 0) continue;
    tell_pending(*entry, tell);
    if (now_ns == UINT64_MAX) continue;
    entry->told_ns = now_ns;
    entries_.splice(entries_.end(), entries_, entry);
  }
}

}  // namespace cicd
