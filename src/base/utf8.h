// SPDX-License-Identifier: Apache-2.0
// UTF-8 and base64 for text that a job controls. A path or an argument is any bytes; whoever shows
// or writes it asks here what of it is text.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cicd {

// The first character of a text. `bytes` is never 0 for a non-empty text.
struct Utf8Char {
  char32_t code_point = 0xFFFD;
  unsigned bytes = 1;     // to go on
  bool is_valid = false;  // false: one byte that starts no valid sequence (Unicode, table 3-7)
};
Utf8Char decode_utf8(std::string_view text);

bool is_valid_utf8(std::string_view text);

// The longest head of `text` with at most `max_bytes` bytes that cuts no valid character.
std::string_view cut_utf8(std::string_view text, std::size_t max_bytes);

// Bidirectional controls and other characters that change how the text around them is shown, and
// the C0 and C1 controls and line separators: never to be written to a terminal as they are.
bool is_unsafe_to_show(char32_t code_point);

void append_utf8(std::string& out, char32_t code_point);

// Standard alphabet with padding (RFC 4648, section 4).
void append_base64(std::string& out, std::string_view bytes);
// The bytes of such a text; nothing when it is none.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace cicd
