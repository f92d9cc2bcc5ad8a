// SPDX-License-Identifier: Apache-2.0
#include "rule/radix_trie.h"

#include <algorithm>

namespace cicd {

namespace {

struct Key {
  std::string text;  // as it is met: from its end for Side::kEnd
  std::uint32_t literal = 0;
};

std::size_t common_size(const std::string& a, const std::string& b) {
  const auto [stop, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(stop - a.begin());
}

}  // namespace

RadixTrie::RadixTrie(std::span<const std::string_view> literals, Side side) : side_(side) {
  std::vector<Key> keys;
  for (std::uint32_t i = 0; i < literals.size(); ++i) {
    std::string text(literals[i]);
    if (side == Side::kEnd) std::reverse(text.begin(), text.end());
    keys.push_back({std::move(text), i});
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.text < b.text; });
  struct Range {
    std::size_t from, to, depth;
  };
  std::vector<Range> ranges{{0, keys.size(), 0}};
  nodes_.emplace_back();
  first_bytes_.push_back(0);
  for (std::size_t at = 0; at < ranges.size(); ++at) {  // level by level: children in a row
    Range range = ranges[at];
    nodes_[at].first_child = static_cast<std::uint32_t>(nodes_.size());
    if (range.from < range.to && keys[range.from].text.size() == range.depth) {
      nodes_[at].literal = keys[range.from++].literal;
    }
    while (range.from < range.to) {
      const std::string& first = keys[range.from].text;
      std::size_t end = range.from;
      while (end < range.to && keys[end].text[range.depth] == first[range.depth]) ++end;
      const std::size_t depth = common_size(first, keys[end - 1].text);
      std::string label = first.substr(range.depth, depth - range.depth);
      first_bytes_.push_back(label[0]);
      if (side == Side::kEnd) std::reverse(label.begin(), label.end());
      Node& node = nodes_.emplace_back();
      node.label = static_cast<std::uint32_t>(labels_.size());
      node.label_size = static_cast<std::uint32_t>(label.size());
      labels_ += label;
      ranges.push_back({range.from, end, depth});
      range.from = end;
    }
    nodes_[at].child_count = static_cast<std::uint32_t>(nodes_.size()) - nodes_[at].first_child;
  }
}

}  // namespace cicd
