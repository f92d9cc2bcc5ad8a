// SPDX-License-Identifier: Apache-2.0
#include "track/cgroup_table.h"

#include <algorithm>

namespace cicd {

bool CgroupTable::add(std::uint64_t id, std::uint32_t slot, std::string_view path) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    if (by_id_.size() >= kMaxCgroups) return false;
    by_id_.emplace(id, Cgroup{slot, false, std::string(path)});
    return true;
  }
  found->second.slot = slot;
  if (!path.empty()) found->second.path = path;
  return true;
}

void CgroupTable::remove(std::uint64_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second.is_removed) return;
  found->second.is_removed = true;
  removed_.push_back(id);
  if (removed_.size() <= kMaxRemoved) return;
  by_id_.erase(removed_.front());
  removed_.pop_front();
}

void CgroupTable::erase_slot(std::uint32_t slot) {
  std::erase_if(removed_, [&](std::uint64_t id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() || found->second.slot == slot;
  });
  std::erase_if(by_id_, [&](const auto& item) { return item.second.slot == slot; });
}

bool CgroupTable::contains(std::uint64_t id, std::uint32_t slot) const {
  const auto found = by_id_.find(id);
  return found != by_id_.end() && found->second.slot == slot;
}

std::string_view CgroupTable::path_of(std::uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::string_view{} : std::string_view(found->second.path);
}

}  // namespace cicd
