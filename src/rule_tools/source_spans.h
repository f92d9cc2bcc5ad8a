// SPDX-License-Identifier: Apache-2.0
// SourceSpans: the source text of each part of a condition. The tree only knows where a part's own
// token stands; a part begins with the first token below it, ends with the last, and takes the
// brackets that belong to those with it.
// Threads: one. Lifetime: tree and text must outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rule/ast.h"

namespace cicd {

class SourceSpans {
 public:
  SourceSpans(const Ast& ast, std::string_view text);

  // In one line: white space, line breaks and comments between tokens become a space.
  std::string of(std::uint32_t node) const;

 private:
  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    int bracket = 0;  // 1 opens, -1 closes
    bool is_minus = false;
  };
  using Range = std::pair<std::size_t, std::size_t>;  // of pieces, ends included

  std::size_t piece_at(std::uint32_t offset) const;
  Range measure(std::uint32_t node);
  Range with_brackets(Range range) const;

  const Ast& ast_;
  std::string_view text_;
  std::vector<Piece> pieces_;
  std::vector<Range> ranges_;  // by node
};

}  // namespace cicd
