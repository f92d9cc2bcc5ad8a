// SPDX-License-Identifier: Apache-2.0
// RadixTrie: which of many literals a text begins with, or ends with, in one walk that is over at
// the first byte that fits none.
//
// Immutable once built; any thread. Literals are not empty.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

class RadixTrie {
 public:
  enum class Side : std::uint8_t { kBegin, kEnd };

  // Literal i is reported as i. No literal twice.
  RadixTrie(std::span<const std::string_view> literals, Side side);

  // Calls found(i) for each literal that fits, the short ones first; when it returns true the
  // search is over. True then.
  template <typename Found>
  bool visit(std::string_view text, Found found) const {
    std::uint32_t at = 0;
    for (;;) {
      if (text.empty()) return false;
      at = child(nodes_[at], side_ == Side::kBegin ? text.front() : text.back());
      if (at == 0) return false;
      const Node& node = nodes_[at];
      const std::string_view label(labels_.data() + node.label, node.label_size);
      if (side_ == Side::kBegin) {
        if (!text.starts_with(label)) return false;
        text.remove_prefix(label.size());
      } else {
        if (!text.ends_with(label)) return false;
        text.remove_suffix(label.size());
      }
      if (node.literal != kNone && found(node.literal)) return true;
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~0u;
  struct Node {
    std::uint32_t label = 0;  // in labels_, in the order of the text
    std::uint32_t label_size = 0;
    std::uint32_t first_child = 0;  // children follow each other
    std::uint32_t child_count = 0;
    std::uint32_t literal = kNone;  // that ends here
  };

  // 0 (the root, which is nobody's child) when there is none.
  std::uint32_t child(const Node& node, char byte) const {
    if (node.child_count == 0) return 0;
    const char* first = first_bytes_.data() + node.first_child;
    const void* found = std::memchr(first, static_cast<unsigned char>(byte), node.child_count);
    if (found == nullptr) return 0;
    return node.first_child + static_cast<std::uint32_t>(static_cast<const char*>(found) - first);
  }

  Side side_;
  std::vector<Node> nodes_;
  std::vector<char> first_bytes_;  // by node: the byte of its label that is met first
  std::string labels_;
};

}  // namespace cicd
