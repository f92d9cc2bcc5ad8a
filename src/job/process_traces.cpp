// SPDX-License-Identifier: Apache-2.0
#include "job/process_traces.h"

#include <array>

namespace cicd {

std::uint32_t ProcessTraceTable::find(const Process& process) const {
  const auto known = by_id_.find(process.id);
  return known == by_id_.end() ? ProcessTraces::kNone : known->second;
}

std::uint32_t ProcessTraceTable::find_or_add(const Process& process) {
  // What of the chain is new, from the process up; the tracker bounds its length.
  std::array<const Process*, kMaxAncestorDepth + 1> missing;
  std::size_t count = 0;
  std::uint32_t trace = ProcessTraces::kNone;
  for (const Process* at = &process; at != nullptr && count < missing.size();
       at = at->parent.get()) {
    trace = find(*at);
    if (trace != ProcessTraces::kNone) break;
    missing[count++] = at;
  }
  while (count > 0) {
    trace = add(*missing[--count], trace);
    if (trace == ProcessTraces::kNone) break;
  }
  return trace;
}

std::uint32_t ProcessTraceTable::add(const Process& process, std::uint32_t parent) {
  if (data_.traces.size() >= kMaxTraces) return ProcessTraces::kNone;
  const std::uint32_t path = path_of(process.exec_path());
  if (path == ProcessTraces::kNone) return ProcessTraces::kNone;
  const auto trace = static_cast<std::uint32_t>(data_.traces.size());
  data_.traces.push_back({process.pid, path, parent, process.start_time_ns});
  by_id_.emplace(process.id, trace);
  return trace;
}

std::uint32_t ProcessTraceTable::path_of(const std::string& path) {
  if (const auto known = paths_.find(std::string_view(path)); known != paths_.end()) {
    return known->second;
  }
  if (path_bytes_ + path.size() > kMaxTracePathBytes) return ProcessTraces::kNone;
  path_bytes_ += path.size();
  const auto index = static_cast<std::uint32_t>(data_.paths.size());
  data_.paths.push_back(path);
  paths_.emplace(path, index);
  return index;
}

}  // namespace cicd
