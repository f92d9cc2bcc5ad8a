// SPDX-License-Identifier: Apache-2.0
// TextMatcher: which of many patterns a text fits, in one pass: equality by a hash table,
// beginnings and ends by tries, the rest by Aho-Corasick. What it costs depends on the text, hardly
// on the number of patterns.
//
// Immutable once built; any thread. Owns what it needs of the literals.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rule/aho_corasick.h"
#include "rule/code.h"
#include "rule/radix_trie.h"

namespace cicd {

class TextMatcher {
 public:
  struct Pattern {
    TextPattern::Kind kind;
    std::string_view literal;  // empty for kEqual only
    std::uint32_t value;       // what found() gets
  };
  explicit TextMatcher(std::vector<Pattern> patterns);

  using Seen = AhoCorasick::Seen;

  // Calls found(value) for each pattern that fits, in no order. When it returns true the search is
  // over. True then.
  template <typename Found>
  bool visit(std::string_view text, Seen& seen, Found found) const {
    const auto report = [&](const Group& group, std::uint32_t literal) {
      for (std::uint32_t i = group.first[literal]; i < group.first[literal + 1]; ++i) {
        if (found(group.values[i])) return true;
      }
      return false;
    };
    if (!equal_slots_.empty()) {
      const std::uint32_t literal = find_equal(text);
      if (literal != kNone && report(groups_[0], literal)) return true;
    }
    if (prefixes_ &&
        prefixes_->visit(text, [&](std::uint32_t i) { return report(groups_[1], i); })) {
      return true;
    }
    if (suffixes_ &&
        suffixes_->visit(text, [&](std::uint32_t i) { return report(groups_[2], i); })) {
      return true;
    }
    return inside_ &&
           inside_->visit(text, seen, [&](std::uint32_t i) { return report(groups_[3], i); });
  }
  bool fits_any(std::string_view text) const {
    const auto yes = [](std::uint32_t) { return true; };
    return (!equal_slots_.empty() && find_equal(text) != kNone) ||
           (prefixes_ && prefixes_->visit(text, yes)) ||
           (suffixes_ && suffixes_->visit(text, yes)) || (inside_ && inside_->has_any(text));
  }

 private:
  static constexpr std::uint32_t kNone = ~0u;
  struct Group {  // by Kind: the values of each literal, values[first[i]] to values[first[i + 1]]
    std::vector<std::uint32_t> first;
    std::vector<std::uint32_t> values;
  };

  std::vector<std::string_view> add_group(std::vector<Pattern>& patterns, TextPattern::Kind kind);
  void add_equal(const std::vector<std::string_view>& literals);
  std::uint32_t find_equal(std::string_view text) const;

  Group groups_[4];
  std::vector<std::string> equal_;
  std::vector<std::uint32_t> equal_slots_;  // number in equal_, or kNone
  std::uint64_t equal_sizes_ = 0;           // bits: some literal is that long, modulo 64
  std::optional<RadixTrie> prefixes_;
  std::optional<RadixTrie> suffixes_;
  std::optional<AhoCorasick> inside_;
};

}  // namespace cicd
