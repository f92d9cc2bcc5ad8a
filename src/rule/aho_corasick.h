// SPDX-License-Identifier: Apache-2.0
// AhoCorasick: which of many literals are inside a text, in one pass over it, however many there
// are. Small sets of literals get a table with every transition; large ones keep the trie and its
// fallback links, some 20 bytes for each byte of the literals.
//
// Immutable once built; any thread. Texts and literals may hold any bytes. Literals are not empty.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cicd {

class AhoCorasick {
 public:
  static constexpr std::uint32_t kNone = ~0u;

  // Which literals a search has met: where one is met again, so would be all that end with it, and
  // a text of "aaaa" against "a", "aa", "aaa" ... is not walked for each of them at each place.
  class Seen {
   public:
    void begin(std::size_t literals) {
      if (stamps_.size() < literals) stamps_.resize(literals, 0);
      if (++stamp_ == 0) std::fill(stamps_.begin(), stamps_.end(), stamp_++);
    }
    bool add(std::uint32_t literal) {
      const bool is_new = stamps_[literal] != stamp_;
      stamps_[literal] = stamp_;
      return is_new;
    }

   private:
    std::vector<std::uint32_t> stamps_;
    std::uint32_t stamp_ = 0;
  };

  // Literal i is reported as i. No literal twice.
  explicit AhoCorasick(std::span<const std::string_view> literals);

  // Calls found(i) for each literal inside the text, once; when it returns true the search is over.
  // True then.
  template <typename Found>
  bool visit(std::string_view text, Seen& seen, Found found) const {
    seen.begin(literals_);
    return walk(text, [&](std::uint32_t i, bool& is_known) {
      is_known = !seen.add(i);
      return !is_known && found(i);
    });
  }
  bool has_any(std::string_view text) const {
    return walk(text, [](std::uint32_t, bool&) { return true; });
  }

 private:
  static constexpr std::size_t kMaxTable = 1u << 16;

  // found(i, is_known) where literal i ends.
  template <typename Found>
  bool walk(std::string_view text, Found found) const {
    std::size_t at = 0;
    while (at < text.size()) {
      if (!may_begin(text, at)) {
        ++at;
        continue;
      }
      std::uint32_t state = 0;
      do {
        state = next(state, static_cast<unsigned char>(text[at++]));
        bool is_known = false;
        for (std::uint32_t hit = hit_of_[state]; hit != 0 && !is_known; hit = hit_of_[fail_[hit]]) {
          if (found(literal_of_[hit], is_known)) return true;
        }
      } while (state != 0 && at < text.size());
    }
    return false;
  }

  // Most places of most texts begin no literal: told by two bytes, without the automaton.
  bool may_begin(std::string_view text, std::size_t at) const {
    const auto first = static_cast<unsigned char>(text[at]);
    const auto second = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0u;
    return pairs_[static_cast<std::size_t>(first) << 8 | second];
  }
  std::uint32_t next(std::uint32_t state, unsigned char byte) const {
    if (!table_.empty()) return table_[state * classes_ + class_of_[byte]];
    std::uint32_t to = child(state, byte);
    while (to == kNone && state != 0) {
      state = fail_[state];
      to = child(state, byte);
    }
    return to == kNone ? 0 : to;
  }
  std::uint32_t child(std::uint32_t state, unsigned char byte) const;
  void add_states(std::span<const std::string_view> literals);
  void add_links();
  void add_table();

  std::size_t literals_ = 0;
  // By state; state 0 is the root. Children of a state follow each other, by byte.
  std::vector<std::uint32_t> first_child_;
  std::vector<std::uint16_t> child_count_;
  std::vector<std::uint8_t> byte_of_;
  std::vector<std::uint32_t> literal_of_;  // that ends here, or kNone
  std::vector<std::uint32_t> fail_;
  std::vector<std::uint32_t> hit_of_;  // this state or the first on its way of links where a
                                       // literal ends, or 0
  std::array<std::uint32_t, 256> root_child_{};
  std::bitset<65536> pairs_;
  std::array<std::uint16_t, 256> class_of_{};  // 0: in no literal
  std::uint32_t classes_ = 1;
  std::vector<std::uint16_t> table_;
};

}  // namespace cicd
