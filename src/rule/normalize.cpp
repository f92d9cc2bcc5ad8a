// SPDX-License-Identifier: Apache-2.0
#include "rule/normalize.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

namespace cicd {

namespace {

// Longest canonical decomposition of one code point, with room to spare.
constexpr std::size_t kMaxDecomposed = 32;
constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

constexpr std::uint64_t kHighBits = 0x8080808080808080;
constexpr std::uint64_t kOnes = 0x0101010101010101;

std::uint64_t load(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// The high bit of each byte from 'A' to 'Z'; the other bits are 0. All bytes are ASCII, so that no
// sum carries into the next one.
std::uint64_t upper_bits(std::uint64_t word) {
  return (word + kOnes * (0x80 - 'A')) & ~(word + kOnes * (0x80 - 'Z' - 1)) & kHighBits;
}

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// Eight bytes at a time: nearly all text is ASCII, and each text of an event comes by here.
bool is_normal_ascii(std::string_view text) {
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= text.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = load(text.data() + at);
    if ((word & kHighBits) != 0 || upper_bits(word) != 0) return false;
  }
  for (; at < text.size(); ++at) {
    if (!is_ascii(text[at]) || is_upper(text[at])) return false;
  }
  return true;
}

// Lower-cases in place; false, with half of it done, at a byte that is not ASCII.
bool lower_ascii(char* text, std::size_t size) {
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
    std::uint64_t word = load(text + at);
    if ((word & kHighBits) != 0) return false;
    word |= upper_bits(word) >> 2;  // 0x20, which tells 'a' from 'A'
    std::memcpy(text + at, &word, sizeof(word));
  }
  for (; at < size; ++at) {
    if (!is_ascii(text[at])) return false;
    if (is_upper(text[at])) text[at] = static_cast<char>(text[at] + ('a' - 'A'));
  }
  return true;
}

}  // namespace

std::string_view Normalizer::view(std::string_view text, std::string& buffer) {
  if (is_normal_ascii(text)) return text;
  buffer.clear();
  append(text, buffer);
  return buffer;
}

void Normalizer::append(std::string_view text, std::string& out) {
  const std::size_t start = out.size();
  out.append(text);
  if (lower_ascii(out.data() + start, text.size())) return;
  out.resize(start);
  append_unicode(text, out);
}

// Works piece by piece: a piece is a run of valid UTF-8; broken bytes between pieces are copied.
void Normalizer::append_unicode(std::string_view text, std::string& out) {
  std::size_t at = 0;
  while (at < text.size()) {
    codes_.clear();
    at = decompose(text, at);
    order_marks();
    const utf8proc_ssize_t count = utf8proc_normalize_utf32(
        codes_.data(), static_cast<utf8proc_ssize_t>(codes_.size()), kOptions);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      utf8proc_uint8_t encoded[4];
      const utf8proc_ssize_t size =
          utf8proc_encode_char(codes_[static_cast<std::size_t>(i)], encoded);
      out.append(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size));
    }
    if (at < text.size()) out += text[at++];
  }
}

std::size_t Normalizer::decompose(std::string_view text, std::size_t at) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  int boundary_class = 0;
  while (at < text.size()) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (used <= 0) return at;
    utf8proc_int32_t parts[kMaxDecomposed];
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        utf8proc_tolower(code), parts, static_cast<utf8proc_ssize_t>(kMaxDecomposed), kOptions,
        &boundary_class);
    if (count < 0 || static_cast<std::size_t>(count) > kMaxDecomposed) return at;
    codes_.insert(codes_.end(), parts, parts + count);
    at += static_cast<std::size_t>(used);
  }
  return at;
}

// Canonical order: every run of combining marks sorted by class, keeping the order of equals.
// (The library's own way is quadratic in the length of a run, which a hostile name can choose.)
void Normalizer::order_marks() {
  const auto combining_class = [](std::int32_t code) {
    return utf8proc_get_property(code)->combining_class;
  };
  auto from = codes_.begin();
  while (from != codes_.end()) {
    if (combining_class(*from) == 0) {
      ++from;
      continue;
    }
    const auto to = std::find_if(from, codes_.end(),
                                 [&](std::int32_t code) { return combining_class(code) == 0; });
    const auto earlier = [&](std::int32_t a, std::int32_t b) {
      return combining_class(a) < combining_class(b);
    };
    if (!std::is_sorted(from, to, earlier)) std::stable_sort(from, to, earlier);
    from = to;
  }
}

std::string normalized(std::string_view text) {
  std::string out;
  Normalizer().append(text, out);
  return out;
}

}  // namespace cicd
