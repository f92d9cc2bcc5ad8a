// SPDX-License-Identifier: Apache-2.0
// Lexer: the tokens of a condition, one at a time. Lexical syntax as in the Common Expression
// Language: names, numbers, strings in four quotings, // comments.
// One thread; the text must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cicd {

enum class TokenKind : std::uint8_t {
  kEnd,
  kBad,     // text says what is wrong
  kName,    // text
  kInt,     // text: the digits as written
  kUint,    // the same, without the u
  kDouble,  // the same
  kString,  // text: escapes resolved
  kSymbol,  // text: "==", "(", ...
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t offset = 0;
  std::string text;
  std::uint32_t text_at = 0;  // of a string without escapes: where its text stands

  bool is(std::string_view symbol) const { return kind == TokenKind::kSymbol && text == symbol; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  Token next();
  // Where the last token ends.
  std::size_t position() const { return at_; }

 private:
  void skip_blanks();
  Token name_or_prefixed_string();
  Token number();
  bool skip_fraction();
  Token string(bool raw);
  Token symbol();
  std::optional<std::string> escape(std::string& out);
  std::optional<std::string> code_point(std::string& out, int digits, int base);
  Token bad(std::size_t offset, std::string text);
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace cicd
