// SPDX-License-Identifier: Apache-2.0
#include "report/domain_groups.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace cicd {

namespace {

constexpr std::size_t kMaxPrograms = 10;

std::string_view last_two_labels(std::string_view domain) {
  const std::size_t last = domain.rfind('.');
  if (last == std::string_view::npos || last == 0) return domain;
  const std::size_t before = domain.rfind('.', last - 1);
  return before == std::string_view::npos ? domain : domain.substr(before + 1);
}

void add_programs(DomainGroup& group, const DomainUse& use) {
  group.process_overflow_count += use.process_overflow_count;
  for (const std::string& path : use.exec_paths) {
    if (std::ranges::find(group.exec_paths, path) != group.exec_paths.end()) continue;
    if (group.exec_paths.size() < kMaxPrograms) {
      group.exec_paths.push_back(path);
    } else {
      ++group.process_overflow_count;
    }
  }
}

}  // namespace

std::vector<DomainGroup> group_domains(const std::vector<DomainUse>& uses) {
  std::map<std::string_view, DomainGroup> groups;
  for (const DomainUse& use : uses) {
    const std::string_view parent = last_two_labels(use.domain);
    DomainGroup& group = groups[parent];
    group.name = group.names == 0 ? std::string_view(use.domain) : parent;
    ++group.names;
    group.count += use.count;
    add_programs(group, use);
  }
  std::vector<DomainGroup> out;
  out.reserve(groups.size());
  for (auto& [parent, group] : groups) out.push_back(std::move(group));
  std::ranges::stable_sort(out, std::greater{}, &DomainGroup::count);
  return out;
}

}  // namespace cicd
