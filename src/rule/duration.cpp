// SPDX-License-Identifier: Apache-2.0
#include "rule/duration.h"

#include <limits>
#include <utility>

namespace cicd {

namespace {

// Longer ones before those they begin with.
constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"\u00b5s", 1'000},    {"\u03bcs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

bool is_digit(std::string_view text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

// Takes a number and its unit from the front of `text`.
std::optional<std::int64_t> take_part(std::string_view& text) {
  std::int64_t whole = 0;
  std::string_view fraction;
  const bool has_whole = is_digit(text);
  for (; is_digit(text); text.remove_prefix(1)) {
    if (__builtin_mul_overflow(whole, 10, &whole) ||
        __builtin_add_overflow(whole, text[0] - '0', &whole)) {
      return std::nullopt;
    }
  }
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = text;
    while (is_digit(text)) text.remove_prefix(1);
    fraction.remove_suffix(text.size());
  }
  if (!has_whole && fraction.empty()) return std::nullopt;
  for (const auto& [unit, unit_ns] : kUnits) {
    if (!text.starts_with(unit)) continue;
    text.remove_prefix(unit.size());
    if (__builtin_mul_overflow(whole, unit_ns, &whole)) return std::nullopt;
    // Digits below a nanosecond are cut off.
    std::int64_t part = unit_ns;
    for (const char digit : fraction) {
      const std::int64_t tenth = part / 10;
      if (tenth == 0) break;
      // Of hours and minutes a tenth of a tenth need not be whole; nanoseconds are enough.
      if (__builtin_add_overflow(whole, (digit - '0') * tenth, &whole)) return std::nullopt;
      part = tenth;
    }
    return whole;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  std::int64_t out = 0;
  while (!text.empty()) {
    const auto part = take_part(text);
    if (!part || __builtin_add_overflow(out, *part, &out)) return std::nullopt;
  }
  return negative ? -out : out;
}

}  // namespace cicd
