// SPDX-License-Identifier: Apache-2.0
// Text for the HTML report out of bytes that a job controls. What may not be shown as it is (the
// same as in a terminal: controls, bytes that are no UTF-8, bidirectional and invisible characters,
// combining marks beyond two) is spelled out (\x1b, \u{202e}) and marked as spelled out, so that a
// name which holds a backslash cannot pass for one that was escaped.
//
// Two forms: in JSON inside of a <script> the marks are U+E000 and U+E001 around each escape (text
// of a job never holds them: private use is spelled out), and `<` is \u003c, so that nothing ends
// the element; in HTML they are <i class="esc">.
//
// Threads: pure functions. Allocate only what `out` needs to grow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cicd {

// The inside of a JSON string, without its quotes.
void append_page_json(std::string& out, std::string_view text);
// Text between tags or in a quoted attribute (there without marks: `marked` false).
void append_page_html(std::string& out, std::string_view text, bool marked = true);

// Whether append_page_json would write `text` as it is.
bool is_plain_page_json(std::string_view text);

// How many characters a number takes.
constexpr std::size_t decimal_length(std::int64_t number) {
  std::size_t length = number < 0 ? 2 : 1;
  for (auto rest = number < 0 ? 0 - static_cast<std::uint64_t>(number)
                              : static_cast<std::uint64_t>(number);
       rest >= 10; rest /= 10) {
    ++length;
  }
  return length;
}

}  // namespace cicd
