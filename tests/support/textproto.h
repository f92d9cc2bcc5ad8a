// SPDX-License-Identifier: Apache-2.0
// The text form of protocol buffers, as far as test data needs it: fields, messages, scalars,
// comments, strings in pieces, lists. Without a schema: scalars keep their text. Tests only; input
// is trusted, a mistake throws.
#pragma once

#include <cctype>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cicd::test {

struct TextMessage {
  struct Field;
  std::vector<Field> fields;

  const Field* find(std::string_view name) const;
  std::vector<const TextMessage*> all(std::string_view name) const;
  std::string text(std::string_view name) const;
};

struct TextMessage::Field {
  std::string name;
  std::string scalar;
  TextMessage message;
  bool is_message = false;
};

inline const TextMessage::Field* TextMessage::find(std::string_view name) const {
  for (const Field& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

inline std::vector<const TextMessage*> TextMessage::all(std::string_view name) const {
  std::vector<const TextMessage*> out;
  for (const Field& field : fields) {
    if (field.name == name) out.push_back(&field.message);
  }
  return out;
}

inline std::string TextMessage::text(std::string_view name) const {
  const Field* field = find(name);
  return field == nullptr ? "" : field->scalar;
}

class TextProtoReader {
 public:
  explicit TextProtoReader(std::string_view text) : text_(text) {}

  TextMessage read() {
    TextMessage out = message('\0');
    if (peek() != '\0') fail("something after the end");
    return out;
  }

 private:
  TextMessage message(char close) {
    TextMessage out;
    while (peek() != close) {
      TextMessage::Field field;
      field.name = peek() == '[' ? extension() : word();
      const bool has_colon = accept(':');
      if (has_colon && accept('[')) {
        while (!accept(']')) {
          out.fields.push_back(value(field));
          accept(',');
        }
      } else {
        out.fields.push_back(value(field));
      }
      if (!accept(',')) accept(';');
    }
    return out;
  }

  TextMessage::Field value(TextMessage::Field field) {
    if (accept('{')) {
      field.is_message = true;
      field.message = message('}');
      if (!accept('}')) fail("a message without an end");
    } else if (peek() == '"' || peek() == '\'') {
      while (peek() == '"' || peek() == '\'') field.scalar += quoted();
    } else {
      field.scalar = word();
    }
    return field;
  }

  // [type.googleapis.com/some.Type]
  std::string extension() {
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != ']') ++at_;
    return std::string(text_.substr(start, ++at_ - start));
  }

  std::string word() {
    peek();
    const std::size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  std::string_view("_.+-").find(text_[at_]) != std::string::npos)) {
      ++at_;
    }
    if (at_ == start) fail("expected a name or number");
    return std::string(text_.substr(start, at_ - start));
  }

  std::string quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) out += character();
    if (at_++ >= text_.size()) fail("a string without an end");
    return out;
  }

  std::string character() {
    if (text_[at_] != '\\') return {text_[at_++]};
    const char letter = text_[at_ + 1];
    at_ += 2;
    if (letter == 'x' || letter == 'X') return {code(16, 2)};
    if (letter >= '0' && letter <= '7') {
      --at_;
      return {code(8, 3)};
    }
    if (letter == 'u' || letter == 'U') return unicode(letter == 'u' ? 4 : 8);
    constexpr std::string_view kLetters = "abfnrtv";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v";
    const std::size_t known = kLetters.find(letter);
    return {known == std::string_view::npos ? letter : kMeanings[known]};
  }

  char code(int base, std::size_t most_digits) {
    return static_cast<char>(static_cast<unsigned char>(digits(base, most_digits)));
  }
  unsigned long digits(int base, std::size_t most_digits) {
    std::size_t used = 0;
    const unsigned long out = std::stoul(std::string(text_.substr(at_, most_digits)), &used, base);
    at_ += used;
    return out;
  }
  std::string unicode(std::size_t count) {
    const unsigned long point = digits(16, count);
    const auto byte = [](unsigned long value) { return static_cast<char>(value & 0xff); };
    if (point < 0x80) return {byte(point)};
    if (point < 0x800) return {byte(0xc0 | point >> 6), byte(0x80 | (point & 0x3f))};
    if (point < 0x10000) {
      return {byte(0xe0 | point >> 12), byte(0x80 | (point >> 6 & 0x3f)),
              byte(0x80 | (point & 0x3f))};
    }
    return {byte(0xf0 | point >> 18), byte(0x80 | (point >> 12 & 0x3f)),
            byte(0x80 | (point >> 6 & 0x3f)), byte(0x80 | (point & 0x3f))};
  }

  // The next character that means something.
  char peek() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (std::isspace(static_cast<unsigned char>(text_[at_])) == 0) {
        return text_[at_];
      } else {
        ++at_;
      }
    }
    return '\0';
  }
  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail(const char* why) const {
    throw std::runtime_error(std::string(why) + " at byte " + std::to_string(at_));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace cicd::test
