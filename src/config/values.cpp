// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cicd {

namespace {

constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24);

std::unexpected<Error> bad_duration(std::string_view text) {
  return fail(ErrorCode::kUsage, "'" + std::string(text) + "' is not a duration",
              "write it like 500ms, 2s, 1m30s or 0; at most 24h");
}

// Takes one "<number><unit>" off the front of `rest`; a negative answer: not one.
double take_term(std::string_view& rest) {
  double number = 0;
  const char* const begin = rest.data();
  const char* const end = begin + rest.size();
  const auto [next, error] = std::from_chars(begin, end, number, std::chars_format::fixed);
  if (error != std::errc{} || number < 0) return -1;
  std::string_view unit(next, static_cast<std::size_t>(end - next));
  unit = unit.substr(0, unit.find_first_not_of("hms"));
  constexpr struct {
    std::string_view name;
    double milliseconds;
  } kUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  for (const auto& known : kUnits) {
    if (unit != known.name) continue;
    rest.remove_prefix(static_cast<std::size_t>(next - begin) + unit.size());
    return number * known.milliseconds;
  }
  return -1;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  std::string_view rest = text;
  double total = 0;
  do {
    const double term = take_term(rest);
    if (!(term >= 0)) return bad_duration(text);
    total += term;
  } while (!rest.empty());
  if (!(total <= static_cast<double>(kLongest.count()))) return bad_duration(text);
  return std::chrono::milliseconds(std::llround(total));
}

bool is_choice(std::string_view name, std::string_view choices) {
  while (!choices.empty()) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == name) return true;
    if (bar == std::string_view::npos) break;
    choices.remove_prefix(bar + 1);
  }
  return false;
}

Result<std::vector<std::string>> parse_list(std::string_view text, std::string_view allowed) {
  std::vector<std::string> names;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string name(text.substr(0, comma));
    if (!is_choice(name, allowed)) {
      return fail(ErrorCode::kUsage, "'" + name + "' is not one of " + std::string(allowed),
                  "join several with commas");
    }
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    if (comma == std::string_view::npos) return names;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace cicd
