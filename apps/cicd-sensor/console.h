// SPDX-License-Identifier: Apache-2.0
// What the program says on standard error: one line for an error, one for the hint. Any thread;
// each call is one write(2), so lines of two processes do not mix.
#pragma once

#include <string_view>

#include "base/result.h"

namespace cicd {

// "cicd-sensor: <text>" and "hint: <hint>". Control characters are shown, not sent.
void print_error(const Error& error);
void print_line(std::string_view text);  // to standard error
void print_text(std::string_view text);  // the same, as it is
void print_out(std::string_view text);   // to standard output

}  // namespace cicd
