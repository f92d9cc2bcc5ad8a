// SPDX-License-Identifier: Apache-2.0
#include "rule/aho_corasick.h"

#include <algorithm>
#include <numeric>

namespace cicd {

AhoCorasick::AhoCorasick(std::span<const std::string_view> literals) : literals_(literals.size()) {
  for (const std::string_view literal : literals) {
    const auto first = static_cast<std::size_t>(static_cast<unsigned char>(literal[0])) << 8;
    if (literal.size() > 1) {
      pairs_.set(first | static_cast<unsigned char>(literal[1]));
    } else {
      for (std::size_t second = 0; second < 256; ++second) pairs_.set(first | second);
    }
    for (const char c : literal) class_of_[static_cast<unsigned char>(c)] = 1;
  }
  for (std::uint16_t& class_of : class_of_) {
    if (class_of != 0) class_of = static_cast<std::uint16_t>(classes_++);
  }
  add_states(literals);
  add_links();
  add_table();
}

// Level by level, so that the children of a state are numbered in a row.
void AhoCorasick::add_states(std::span<const std::string_view> literals) {
  std::vector<std::uint32_t> order(literals.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return literals[a] < literals[b]; });
  struct Range {
    std::size_t from, to, depth;
  };
  std::vector<Range> ranges{{0, order.size(), 0}};
  byte_of_.push_back(0);
  for (std::size_t state = 0; state < ranges.size(); ++state) {
    Range range = ranges[state];
    literal_of_.push_back(kNone);
    if (range.from < range.to && literals[order[range.from]].size() == range.depth) {
      literal_of_.back() = order[range.from++];
    }
    first_child_.push_back(static_cast<std::uint32_t>(ranges.size()));
    std::uint16_t count = 0;
    while (range.from < range.to) {
      const char byte = literals[order[range.from]][range.depth];
      std::size_t end = range.from;
      while (end < range.to && literals[order[end]][range.depth] == byte) ++end;
      ranges.push_back({range.from, end, range.depth + 1});
      byte_of_.push_back(static_cast<std::uint8_t>(byte));
      range.from = end;
      ++count;
    }
    child_count_.push_back(count);
  }
  root_child_.fill(kNone);
  for (std::uint32_t i = 0; i < child_count_[0]; ++i) {
    root_child_[byte_of_[first_child_[0] + i]] = first_child_[0] + i;
  }
}

void AhoCorasick::add_links() {
  fail_.assign(first_child_.size(), 0);
  hit_of_.assign(first_child_.size(), 0);
  for (std::uint32_t state = 0; state < first_child_.size(); ++state) {
    if (state != 0) {
      hit_of_[state] = literal_of_[state] != kNone ? state : hit_of_[fail_[state]];
    }
    for (std::uint32_t i = 0; i < child_count_[state]; ++i) {
      const std::uint32_t below = first_child_[state] + i;
      if (state != 0) fail_[below] = next(fail_[state], byte_of_[below]);
    }
  }
}

void AhoCorasick::add_table() {
  const std::size_t states = first_child_.size();
  if (states * classes_ > kMaxTable) return;
  std::vector<std::uint16_t> table(states * classes_, 0);
  for (std::uint32_t state = 0; state < states; ++state) {
    // What a state does not go on with goes on from its link, which is complete: it is less deep.
    const auto row = table.begin() + state * classes_;
    if (state != 0) std::copy_n(table.begin() + fail_[state] * classes_, classes_, row);
    for (std::uint32_t i = 0; i < child_count_[state]; ++i) {
      const std::uint32_t to = first_child_[state] + i;
      row[class_of_[byte_of_[to]]] = static_cast<std::uint16_t>(to);
    }
  }
  table_ = std::move(table);
}

std::uint32_t AhoCorasick::child(std::uint32_t state, unsigned char byte) const {
  if (state == 0) return root_child_[byte];
  const std::uint32_t first = first_child_[state];
  const std::uint32_t last = first + child_count_[state];
  for (std::uint32_t at = first; at < last; ++at) {
    if (byte_of_[at] == byte) return at;
  }
  return kNone;
}

}  // namespace cicd
