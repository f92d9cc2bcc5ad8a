// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/source_spans.h"

#include <algorithm>

#include "rule/lexer.h"

namespace cicd {

SourceSpans::SourceSpans(const Ast& ast, std::string_view text)
    : ast_(ast), text_(text), ranges_(ast.nodes.size()) {
  Lexer lexer(text);
  for (Token token = lexer.next(); token.kind != TokenKind::kEnd && token.kind != TokenKind::kBad;
       token = lexer.next()) {
    const bool opens = token.is("(") || token.is("[");
    const bool closes = token.is(")") || token.is("]");
    pieces_.push_back({token.offset, lexer.position(), opens ? 1 : closes ? -1 : 0, token.is("-")});
  }
  if (ast.is_complete && !pieces_.empty()) measure(ast.root);
}

std::size_t SourceSpans::piece_at(std::uint32_t offset) const {
  const auto after = std::ranges::upper_bound(pieces_, offset, {}, &Piece::begin);
  return after == pieces_.begin() ? 0 : static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

SourceSpans::Range SourceSpans::measure(std::uint32_t index) {
  const AstNode& node = ast_[index];
  const std::size_t own = piece_at(node.offset);
  Range range = {own, own};
  for (const std::uint32_t child : node.children) {
    const Range part = measure(child);
    range.first = std::min(range.first, part.first);
    range.second = std::max(range.second, part.second);
  }
  if (node.kind == AstKind::kInt && node.number < 0 && own > 0 && pieces_[own - 1].is_minus) {
    range.first = own - 1;
  }
  return ranges_[index] = with_brackets(range);
}

SourceSpans::Range SourceSpans::with_brackets(Range range) const {
  int open = 0;
  int missing = 0;  // closed inside, opened before
  for (std::size_t i = range.first; i <= range.second; ++i) {
    open += pieces_[i].bracket;
    missing = std::max(missing, -open);
  }
  open += missing;
  for (; missing > 0 && range.first > 0; missing -= pieces_[range.first].bracket) --range.first;
  for (; open > 0 && range.second + 1 < pieces_.size(); open += pieces_[range.second].bracket) {
    ++range.second;
  }
  return range;
}

std::string SourceSpans::of(std::uint32_t node) const {
  std::string out;
  if (pieces_.empty()) return out;
  const auto [first, last] = ranges_[node];
  for (std::size_t i = first; i <= last; ++i) {
    if (i > first && pieces_[i].begin > pieces_[i - 1].end) out += ' ';
    out.append(text_.substr(pieces_[i].begin, pieces_[i].end - pieces_[i].begin));
  }
  return out;
}

}  // namespace cicd
