// SPDX-License-Identifier: Apache-2.0
// Text for a terminal out of bytes that a job controls: nothing that is printed steers the
// terminal, pretends to be other text, or takes more columns than was counted.
//
// Shown as they are: printable characters. Escaped: controls (\n, \x1b), bytes that are no UTF-8
// (\xff), bidirectional controls, invisible, private and unassigned characters (\u{202e}), and
// combining marks beyond two on one character.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace cicd {

std::string escape_for_terminal(std::string_view text);

// Whether a character of valid UTF-8 (no combining mark beyond two) is shown as it is.
bool is_shown_as_is(char32_t code_point);

// Columns that escaped text takes. Wide characters take two.
int display_width(std::string_view escaped);

// Escapes `text` and, when it is wider than `columns`, takes out its middle ("/usr/li...bin/cc1"):
// both ends of a path say something. The result never takes more than `columns`.
std::string fit(std::string_view text, int columns);

// The same, then filled with spaces to exactly `columns`.
std::string fit_left(std::string_view text, int columns);
std::string fit_right(std::string_view text, int columns);

// 1234567 -> "1,234,567"
std::string with_separators(unsigned long long number);

}  // namespace cicd
