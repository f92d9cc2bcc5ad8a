// SPDX-License-Identifier: Apache-2.0
// Patterns of a TextSet, one by one: the plain meaning that TextMatcher has to agree with.
// Pure functions; any thread.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "rule/code.h"

namespace cicd {

inline bool fits(TextPattern::Kind kind, std::string_view literal, std::string_view text) {
  switch (kind) {
    case TextPattern::Kind::kEqual:
      return text == literal;
    case TextPattern::Kind::kPrefix:
      return text.starts_with(literal);
    case TextPattern::Kind::kSuffix:
      return text.ends_with(literal);
    case TextPattern::Kind::kContains:
      return text.find(literal) != std::string_view::npos;
  }
  return false;
}

inline bool fits_any(const Code& code, const std::vector<TextPattern>& set, std::string_view text) {
  return std::any_of(set.begin(), set.end(), [&](const TextPattern& pattern) {
    return fits(pattern.kind, code.literals[pattern.literal], text);
  });
}

// The pattern a test of two texts would be if the second one were known.
inline std::optional<TextPattern::Kind> pattern_kind(const Instruction& in) {
  switch (in.op) {
    case Op::kTextCompare:
      if (in.compare == CompareOp::kEqual) return TextPattern::Kind::kEqual;
      return std::nullopt;
    case Op::kStartsWith:
      return TextPattern::Kind::kPrefix;
    case Op::kEndsWith:
      return TextPattern::Kind::kSuffix;
    case Op::kContains:
      return TextPattern::Kind::kContains;
    default:
      return std::nullopt;
  }
}

}  // namespace cicd
