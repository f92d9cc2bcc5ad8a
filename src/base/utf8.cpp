// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cstdint>

namespace cicd {

namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// What a lead byte promises: length, and the range its second byte must be in (which rules out
// overlong forms, surrogates and everything above U+10FFFF).
struct Lead {
  unsigned bytes;
  unsigned char low, high;
  char32_t bits;
};

Lead lead_of(unsigned char c) {
  if (c >= 0xC2 && c <= 0xDF) return {2, 0x80, 0xBF, static_cast<char32_t>(c & 0x1F)};
  if (c >= 0xE0 && c <= 0xEF) {
    const unsigned char low = c == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = c == 0xED ? 0x9F : 0xBF;
    return {3, low, high, static_cast<char32_t>(c & 0x0F)};
  }
  if (c >= 0xF0 && c <= 0xF4) {
    const unsigned char low = c == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = c == 0xF4 ? 0x8F : 0xBF;
    return {4, low, high, static_cast<char32_t>(c & 0x07)};
  }
  return {0, 0, 0, 0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return {};
  if (at(0) < 0x80) return {at(0), 1, true};
  const Lead lead = lead_of(at(0));
  if (lead.bytes == 0 || text.size() < lead.bytes) return {};
  if (at(1) < lead.low || at(1) > lead.high) return {};
  char32_t code_point = lead.bits << 6 | (at(1) & 0x3F);
  for (unsigned i = 2; i < lead.bytes; ++i) {
    if ((at(i) & 0xC0) != 0x80) return {};
    code_point = code_point << 6 | (at(i) & 0x3F);
  }
  return {code_point, lead.bytes, true};
}

bool is_valid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(i));
    if (!c.is_valid) return false;
    i += c.bytes;
  }
  return true;
}

std::string_view cut_utf8(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  // A character that the cut would split starts at most three bytes before it.
  for (std::size_t back = 1; back <= 3 && back <= max_bytes; ++back) {
    const Utf8Char c = decode_utf8(text.substr(max_bytes - back));
    if (c.is_valid && c.bytes > back) return text.substr(0, max_bytes - back);
  }
  return text.substr(0, max_bytes);
}

bool is_unsafe_to_show(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) return true;
  if (c < 0x61C) return c == 0xAD;  // soft hyphen: seen in one place, absent in the next
  if (c == 0x61C || c == 0x115F || c == 0x1160 || c == 0x17B4 || c == 0x17B5 || c == 0x3164) {
    return true;
  }
  if (c >= 0x180B && c <= 0x180F) return true;
  if (c >= 0x200B && c <= 0x200F) return true;  // zero width, marks of direction
  if (c >= 0x2028 && c <= 0x202E) return true;  // separators, embeddings, overrides
  if (c >= 0x2060 && c <= 0x206F) return true;  // isolates, invisible operators
  if (c >= 0xFE00 && c <= 0xFE0F) return true;  // variation selectors
  if (c == 0xFEFF || c == 0xFFA0 || (c >= 0xFFF0 && c <= 0xFFFB)) return true;
  if (c >= 0xE0000 && c <= 0xE0FFF) return true;            // tags
  return c >= 0xD800 && c <= 0xF8FF ? true : c >= 0xF0000;  // surrogates, private use
}

void append_utf8(std::string& out, char32_t c) {
  const auto byte = [&](char32_t value) { out.push_back(static_cast<char>(value)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6);
    byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3F));
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  }
}

void append_base64(std::string& out, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t n = bytes.size() - i < 3 ? bytes.size() - i : 3;
    for (std::size_t k = 0; k < 3; ++k) {
      const std::uint32_t byte = k < n ? static_cast<unsigned char>(bytes[i + k]) : 0;
      group = group << 8 | byte;
    }
    out.push_back(kBase64Alphabet[group >> 18]);
    out.push_back(kBase64Alphabet[group >> 12 & 63]);
    out.push_back(n > 1 ? kBase64Alphabet[group >> 6 & 63] : '=');
    out.push_back(n > 2 ? kBase64Alphabet[group & 63] : '=');
  }
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_padding = i >= text.size() - padding;
    const std::size_t value = is_padding ? 0 : kBase64Alphabet.find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>(bits >> shift & 0xff));
  }
  // What the padding stands for must be nothing, or two texts would mean the same bytes.
  for (std::size_t i = 0; i < padding; ++i) {
    if (out.back() != '\0') return std::nullopt;
    out.pop_back();
  }
  return out;
}

}  // namespace cicd
