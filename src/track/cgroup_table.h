// SPDX-License-Identifier: Apache-2.0
// CgroupTable: which cgroups are whose, and their paths. Filled from the job's root and from mkdir
// and attach samples. A removed cgroup stays known for a while: its id is still in samples under
// way.
//
// Thread: the pipeline thread. Memory is bounded by kMaxCgroups and kMaxRemoved.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "event/container.h"

namespace cicd {

class CgroupTable {
 public:
  static constexpr std::size_t kMaxCgroups = 65'536;
  static constexpr std::size_t kMaxRemoved = 4'096;

  // False when there is no room. An empty path does not replace one that is known.
  bool add(std::uint64_t id, std::uint32_t slot, std::string_view path);
  void remove(std::uint64_t id);
  void erase_slot(std::uint32_t slot);

  std::vector<std::uint64_t> of_slot(std::uint32_t slot) const;  // removed ones aside
  bool contains(std::uint64_t id, std::uint32_t slot) const;
  // Empty when unknown. Valid until the table changes.
  std::string_view path_of(std::uint64_t id) const;
  // Of the container that the cgroup is or lies in; null: none, or the cgroup is not known.
  const ContainerRef& container_of(std::uint64_t id);
  std::size_t size() const { return by_id_.size(); }

 private:
  struct Cgroup {
    std::uint32_t slot = 0;
    bool is_removed = false;
    std::string path;
    ContainerRef container;  // told from `path`
  };
  static void set_path(Cgroup& cgroup, std::string_view path);

  static constexpr std::uint64_t kNoId = 0;
  std::unordered_map<std::uint64_t, Cgroup> by_id_;
  std::deque<std::uint64_t> removed_;  // in order of removal
  // The last answer of container_of: events come in runs of one cgroup.
  std::uint64_t asked_id_ = kNoId;
  ContainerRef asked_;
};

}  // namespace cicd
