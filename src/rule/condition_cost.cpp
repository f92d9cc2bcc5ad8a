// SPDX-License-Identifier: Apache-2.0
#include "rule/condition_cost.h"

#include <algorithm>
#include <vector>

namespace cicd {

namespace {

constexpr std::uint64_t kTypicalLength = 8;
constexpr std::uint64_t kMatchCost = 20;
constexpr std::uint64_t kMostCost = 1'000'000'000'000;

struct Part {
  std::uint64_t cost = 1;
  bool needs_event = false;
  std::uint8_t variables = 0;  // that it has from outside, as bits
};

bool is_macro(const CheckedNode& node) {
  return node.kind == CheckedKind::kExists || node.kind == CheckedKind::kAll ||
         node.kind == CheckedKind::kExistsOne;
}

std::uint8_t bit(std::uint8_t variable) {
  return variable == kNoVariable ? std::uint8_t{0} : static_cast<std::uint8_t>(1u << variable);
}

std::uint64_t length_of(const CheckedNode& list, const NamedLists& lists) {
  if (list.kind == CheckedKind::kNamedList) return lists.at(list.text).size();
  if (list.kind == CheckedKind::kStrings) return list.children.size();
  return kTypicalLength;
}

Part part_of(const CheckedNode& node, const Checked& checked, const NamedLists& lists,
             const std::vector<Part>& parts) {
  Part out;
  out.cost = node.kind == CheckedKind::kMatches ? kMatchCost : 1;
  out.needs_event = node.kind == CheckedKind::kField || node.kind == CheckedKind::kStepId ||
                    node.kind == CheckedKind::kStepName;
  if (!is_macro(node)) out.variables = bit(node.variable);
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const Part& child = parts[node.children[i]];
    const bool is_body = is_macro(node) && i == 1;
    out.needs_event |= child.needs_event;
    out.variables |= is_body ? static_cast<std::uint8_t>(child.variables & ~bit(node.variable))
                             : child.variables;
    if (node.kind == CheckedKind::kChoose && i == 2) {
      const std::uint64_t yes = parts[node.children[1]].cost;  // one of the two is looked at
      out.cost += child.cost > yes ? child.cost - yes : 0;
      continue;
    }
    const std::uint64_t times = is_body ? length_of(checked[node.children[0]], lists) : 1;
    out.cost = std::min(out.cost + child.cost * times, kMostCost);
  }
  if (!out.needs_event && out.variables == 0) out.cost = 1;
  return out;
}

}  // namespace

// Children stand before their parents.
std::uint64_t cost_of(const Checked& checked, const NamedLists& lists) {
  std::vector<Part> parts;
  parts.reserve(checked.nodes.size());
  for (const CheckedNode& node : checked.nodes) {
    parts.push_back(part_of(node, checked, lists, parts));
  }
  return parts.empty() ? 0 : parts[checked.root].cost;
}

}  // namespace cicd
