// SPDX-License-Identifier: Apache-2.0
#include "rule/rule_set.h"

#include <algorithm>

namespace cicd {

std::string_view name_of(RuleAction action) {
  switch (action) {
    case RuleAction::kDetect:
      return "detect";
    case RuleAction::kCollect:
      return "collect";
    case RuleAction::kTerminate:
      return "terminate";
  }
  return "detect";
}

SourcePlace SourceText::place_of(std::size_t offset) const {
  SourcePoint from{0, line, column};
  const auto after = std::upper_bound(
      points.begin(), points.end(), offset,
      [](std::size_t wanted, const SourcePoint& point) { return wanted < point.offset; });
  if (after != points.begin()) from = *(after - 1);
  int place_column = from.column;
  for (std::size_t i = from.offset; i < offset && i < text.size() && text[i] != '\n'; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ++place_column;
  }
  return {file, from.line, place_column};
}

namespace {

bool entry_matches(const TargetEntry& entry, std::string_view provider_host,
                   std::string_view project_path) {
  return (entry.provider_host.empty() || entry.provider_host == provider_host) &&
         project_path.starts_with(entry.path);
}

}  // namespace

bool RuleTarget::matches(std::string_view provider_host, std::string_view project_path) const {
  const auto hit = [&](const TargetEntry& entry) {
    return entry_matches(entry, provider_host, project_path);
  };
  if (std::any_of(exclude.begin(), exclude.end(), hit)) return false;
  return include.empty() || std::any_of(include.begin(), include.end(), hit);
}

}  // namespace cicd
