// SPDX-License-Identifier: Apache-2.0
#include "rule/text_matcher.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <tuple>

namespace cicd {

using Kind = TextPattern::Kind;

TextMatcher::TextMatcher(std::vector<Pattern> patterns) {
  const auto order = [](const Pattern& pattern) {
    return std::tie(pattern.kind, pattern.literal, pattern.value);
  };
  std::sort(patterns.begin(), patterns.end(),
            [&](const Pattern& a, const Pattern& b) { return order(a) < order(b); });
  add_equal(add_group(patterns, Kind::kEqual));
  if (const auto literals = add_group(patterns, Kind::kPrefix); !literals.empty()) {
    prefixes_.emplace(literals, RadixTrie::Side::kBegin);
  }
  if (const auto literals = add_group(patterns, Kind::kSuffix); !literals.empty()) {
    suffixes_.emplace(literals, RadixTrie::Side::kEnd);
  }
  if (const auto literals = add_group(patterns, Kind::kContains); !literals.empty()) {
    inside_.emplace(literals);
  }
}

// The distinct literals of the patterns of a kind; their values go into the group.
std::vector<std::string_view> TextMatcher::add_group(std::vector<Pattern>& patterns, Kind kind) {
  Group& group = groups_[static_cast<std::size_t>(kind)];
  std::vector<std::string_view> literals;
  for (const Pattern& pattern : patterns) {
    if (pattern.kind != kind) continue;
    if (literals.empty() || literals.back() != pattern.literal) {
      literals.push_back(pattern.literal);
      group.first.push_back(static_cast<std::uint32_t>(group.values.size()));
    }
    group.values.push_back(pattern.value);
  }
  group.first.push_back(static_cast<std::uint32_t>(group.values.size()));
  return literals;
}

void TextMatcher::add_equal(const std::vector<std::string_view>& literals) {
  if (literals.empty()) return;
  equal_slots_.assign(std::bit_ceil(2 * literals.size()), kNone);
  for (const std::string_view literal : literals) {
    std::size_t slot = std::hash<std::string_view>()(literal) & (equal_slots_.size() - 1);
    while (equal_slots_[slot] != kNone) slot = (slot + 1) & (equal_slots_.size() - 1);
    equal_slots_[slot] = static_cast<std::uint32_t>(equal_.size());
    equal_.emplace_back(literal);
    equal_sizes_ |= 1ull << (literal.size() % 64);
  }
}

std::uint32_t TextMatcher::find_equal(std::string_view text) const {
  if ((equal_sizes_ >> (text.size() % 64) & 1) == 0) return kNone;
  std::size_t slot = std::hash<std::string_view>()(text) & (equal_slots_.size() - 1);
  while (equal_slots_[slot] != kNone) {
    if (equal_[equal_slots_[slot]] == text) return equal_slots_[slot];
    slot = (slot + 1) & (equal_slots_.size() - 1);
  }
  return kNone;
}

}  // namespace cicd
