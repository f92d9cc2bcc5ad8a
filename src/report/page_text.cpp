// SPDX-License-Identifier: Apache-2.0
#include "report/page_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/utf8.h"
#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr int kMaxMarks = 2;  // combining marks on one character

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7F; ++c) {
    plain[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != '\'';
  }
  return plain;
}
// Bytes that need no look in either form; in JSON `>`, `&` and `'` are harmless too.
constexpr std::array<bool, 256> kPlain = make_plain();

bool is_plain_in_json(char c) {
  return kPlain[static_cast<unsigned char>(c)] || c == '>' || c == '&' || c == '\'';
}

// What is shown of the character at the head of `text`: itself, or words that spell it out.
struct Shown {
  unsigned bytes = 1;
  bool is_escape = false;
  std::array<char, 16> escape;
  std::size_t escape_size = 0;
};

Shown look_at(std::string_view text, int& marks) {
  const Utf8Char c = decode_utf8(text);
  Shown shown;
  shown.bytes = c.bytes;
  const auto spell = [&](auto format, unsigned value) {
    const auto end = fmt::format_to_n(shown.escape.data(), shown.escape.size(), format, value).out;
    shown.escape_size = static_cast<std::size_t>(end - shown.escape.data());
    shown.is_escape = true;
    marks = kMaxMarks;  // an escape is no character that a mark could stand on
  };
  if (!c.is_valid || c.code_point < 0x20 || c.code_point == 0x7F) {
    const auto byte = static_cast<unsigned char>(text[0]);
    switch (byte) {
      case '\n':
        spell(FMT_STRING("\\n"), 0u);
        break;
      case '\r':
        spell(FMT_STRING("\\r"), 0u);
        break;
      case '\t':
        spell(FMT_STRING("\\t"), 0u);
        break;
      default:
        spell(FMT_STRING("\\x{:02x}"), byte);
    }
    return shown;
  }
  const bool is_mark =
      c.code_point >= 0x300 && utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.code_point)) == 0;
  if (!is_shown_as_is(c.code_point) || (is_mark && marks >= kMaxMarks)) {
    spell(FMT_STRING("\\u{{{:x}}}"), static_cast<unsigned>(c.code_point));
  } else {
    marks = is_mark ? marks + 1 : 0;
  }
  return shown;
}

void append_json_byte(std::string& out, char c) {
  if (c == '<') {
    out.append("\\u003c");
    return;
  }
  if (c == '"' || c == '\\') out.push_back('\\');
  out.push_back(c);
}

void append_html_byte(std::string& out, char c) {
  switch (c) {
    case '<':
      out.append("&lt;");
      break;
    case '>':
      out.append("&gt;");
      break;
    case '&':
      out.append("&amp;");
      break;
    case '"':
      out.append("&quot;");
      break;
    case '\'':
      out.append("&#39;");
      break;
    default:
      out.push_back(c);
  }
}

template <typename AppendByte>
void append_text(std::string& out, std::string_view text, std::string_view open,
                 std::string_view close, AppendByte append_byte) {
  int marks = kMaxMarks;  // a mark at the head has no character to stand on
  while (!text.empty()) {
    const std::size_t plain = static_cast<std::size_t>(
        std::ranges::find_if_not(text,
                                 [](char c) { return kPlain[static_cast<unsigned char>(c)]; }) -
        text.begin());
    if (plain > 0) {
      out.append(text, 0, plain);
      text.remove_prefix(plain);
      marks = 0;
      continue;
    }
    const Shown shown = look_at(text, marks);
    if (shown.is_escape) {
      out.append(open);
      for (std::size_t i = 0; i < shown.escape_size; ++i) append_byte(out, shown.escape[i]);
      out.append(close);
    } else {
      for (unsigned i = 0; i < shown.bytes; ++i) append_byte(out, text[i]);
    }
    text.remove_prefix(shown.bytes);
  }
}

}  // namespace

void append_page_json(std::string& out, std::string_view text) {
  append_text(out, text, "\xEE\x80\x80", "\xEE\x80\x81", append_json_byte);
}

void append_page_html(std::string& out, std::string_view text, bool marked) {
  append_text(out, text, marked ? "<i class=\"esc\">" : "", marked ? "</i>" : "", append_html_byte);
}

bool is_plain_page_json(std::string_view text) {
  return std::ranges::all_of(text, is_plain_in_json);
}

}  // namespace cicd
