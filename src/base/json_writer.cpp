// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <array>

#include "base/time_format.h"
#include "base/utf8.h"

namespace cicd {

namespace {

// Bytes that may stand in a JSON string as they are: printable ASCII but " and backslash.
constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = make_plain();

void append_unicode_escape(std::string& out, char32_t code_point) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kHex[code_point >> shift & 15]);
}

// Escaped although JSON allows them as they are: a row shown with cat must not steer a terminal.
bool is_escaped(char32_t c) {
  return (c >= 0x7F && c <= 0x9F) || (c >= 0x200E && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

bool JsonWriter::append_quoted(std::string_view text) {
  bool is_valid = true;
  out_.push_back('"');
  std::size_t begin = 0;
  std::size_t i = 0;
  while (i < text.size()) {
    if (kPlain[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    out_.append(text, begin, i - begin);
    i += append_special(text.substr(i), is_valid);
    begin = i;
  }
  out_.append(text, begin, text.size() - begin);
  out_.push_back('"');
  return is_valid;
}

std::size_t JsonWriter::append_special(std::string_view text, bool& is_valid) {
  switch (text[0]) {
    case '"':
      out_.append("\\\"");
      return 1;
    case '\\':
      out_.append("\\\\");
      return 1;
    case '\n':
      out_.append("\\n");
      return 1;
    case '\r':
      out_.append("\\r");
      return 1;
    case '\t':
      out_.append("\\t");
      return 1;
    default:
      break;
  }
  const Utf8Char c = decode_utf8(text);
  if (!c.is_valid) {
    is_valid = false;
    out_.append("\xEF\xBF\xBD");
  } else if (c.code_point < 0x20 || is_escaped(c.code_point)) {
    append_unicode_escape(out_, c.code_point);
  } else {
    out_.append(text, 0, c.bytes);
  }
  return c.bytes;
}

void JsonWriter::base64(std::string_view bytes) {
  separate();
  out_.push_back('"');
  append_base64(out_, bytes);
  out_.push_back('"');
}

void JsonWriter::member(std::string_view name, std::string_view text) {
  key(name);
  if (string(text)) return;
  key_base64(name);
  base64(text);
}

void JsonWriter::time_member(std::string_view name, std::uint64_t realtime_ns) {
  key(name);
  out_.push_back('"');
  Rfc3339Formatter().append(out_, realtime_ns);
  out_.push_back('"');
}

std::string indented_json(std::string_view json, std::size_t max_bytes) {
  std::string out;
  std::size_t depth = 0;
  bool is_in_string = false;
  const auto new_line = [&] { out.append(1, '\n').append(2 * depth, ' '); };
  for (std::size_t i = 0; i < json.size() && out.size() <= max_bytes; ++i) {
    const char c = json[i];
    const bool is_opening = c == '{' || c == '[';
    if (is_in_string) {
      out.push_back(c);
      if (c == '\\') out.push_back(json[++i]);
      is_in_string = c != '"';
    } else if (is_opening && json[i + 1] == (c == '{' ? '}' : ']')) {
      out.push_back(c);
      out.push_back(json[++i]);
    } else {
      if (c == '}' || c == ']') {
        --depth;
        new_line();
      }
      out.push_back(c);
      is_in_string = c == '"';
      if (is_opening) ++depth;
      if (is_opening || c == ',') new_line();
      if (c == ':') out.push_back(' ');
    }
  }
  return out.size() <= max_bytes ? out : std::string();
}

}  // namespace cicd
