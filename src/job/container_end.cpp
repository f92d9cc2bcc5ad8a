// SPDX-License-Identifier: Apache-2.0
#include "job/container_end.h"

#include <algorithm>
#include <utility>

namespace cicd {

// Those that hold one of the sensor's own never get in, or out of it again.
void ContainerEnd::look() {
  if (!find_) return;
  const auto is_own = [this](pid_t pid) { return std::ranges::find(own_, pid) != own_.end(); };
  for (JobCgroup& cgroup : find_()) {
    const std::uint64_t id = cgroup.id();
    if (std::ranges::any_of(cgroup.processes(), is_own)) {
      groups_.erase(id);
    } else {
      groups_.try_emplace(id, Group{std::move(cgroup)});
    }
  }
}

void ContainerEnd::freeze() {
  look();
  for (const auto& [id, group] : groups_) group.cgroup.freeze(true);
}

std::vector<pid_t> ContainerEnd::kill() {
  look();
  std::vector<pid_t> ended;
  for (auto& [id, group] : groups_) {
    group.cgroup.freeze(true);
    const std::vector<pid_t> inside = group.cgroup.processes();
    group.is_killed = group.cgroup.kill();
    if (group.is_killed) ended.insert(ended.end(), inside.begin(), inside.end());
  }
  std::erase(ended, 0);
  std::ranges::sort(ended);
  return ended;
}

bool ContainerEnd::is_populated() const {
  return std::ranges::any_of(groups_, [](const auto& entry) {
    return entry.second.is_killed && entry.second.cgroup.is_populated().value_or(false);
  });
}

void ContainerEnd::thaw() const {
  for (const auto& [id, group] : groups_) group.cgroup.freeze(false);
}

}  // namespace cicd
