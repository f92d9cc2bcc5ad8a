// SPDX-License-Identifier: Apache-2.0
#include "track/cgroup_table.h"

#include <algorithm>

#include "track/container_name.h"

namespace cicd {

void CgroupTable::set_path(Cgroup& cgroup, std::string_view path) {
  cgroup.path = path;
  const ContainerName name = container_of_cgroup(cgroup.path);
  cgroup.container.reset();
  if (name.id.empty()) return;
  cgroup.container =
      std::make_shared<const Container>(Container{std::string(name.id), std::string(name.runtime)});
}

bool CgroupTable::add(std::uint64_t id, std::uint32_t slot, std::string_view path) {
  asked_id_ = kNoId;
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    if (by_id_.size() >= kMaxCgroups) return false;
    set_path(by_id_.emplace(id, Cgroup{slot, false, {}, {}}).first->second, path);
    return true;
  }
  found->second.slot = slot;
  if (!path.empty() && path != found->second.path) set_path(found->second, path);
  return true;
}

void CgroupTable::remove(std::uint64_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second.is_removed) return;
  found->second.is_removed = true;
  removed_.push_back(id);
  if (removed_.size() <= kMaxRemoved) return;
  asked_id_ = kNoId;
  by_id_.erase(removed_.front());
  removed_.pop_front();
}

void CgroupTable::erase_slot(std::uint32_t slot) {
  asked_id_ = kNoId;
  asked_.reset();
  std::erase_if(removed_, [&](std::uint64_t id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() || found->second.slot == slot;
  });
  std::erase_if(by_id_, [&](const auto& item) { return item.second.slot == slot; });
}

std::vector<std::uint64_t> CgroupTable::of_slot(std::uint32_t slot) const {
  std::vector<std::uint64_t> out;
  for (const auto& [id, cgroup] : by_id_) {
    if (cgroup.slot == slot && !cgroup.is_removed) out.push_back(id);
  }
  return out;
}

bool CgroupTable::contains(std::uint64_t id, std::uint32_t slot) const {
  const auto found = by_id_.find(id);
  return found != by_id_.end() && found->second.slot == slot;
}

std::string_view CgroupTable::path_of(std::uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::string_view{} : std::string_view(found->second.path);
}

const ContainerRef& CgroupTable::container_of(std::uint64_t id) {
  if (id == asked_id_ && id != kNoId) return asked_;
  const auto found = by_id_.find(id);
  asked_ = found == by_id_.end() ? nullptr : found->second.container;
  asked_id_ = id;
  return asked_;
}

}  // namespace cicd
