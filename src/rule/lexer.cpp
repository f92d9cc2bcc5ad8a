// SPDX-License-Identifier: Apache-2.0
#include "rule/lexer.h"

#include <utf8proc.h>

#include <array>
#include <utility>

#include "rule/diagnostic.h"

namespace cicd {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }
bool is_quote(char c) { return c == '"' || c == '\''; }

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool append_code_point(std::string& out, std::uint32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  utf8proc_uint8_t encoded[4];
  const utf8proc_ssize_t bytes = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), encoded);
  out.append(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(bytes));
  return true;
}

// The letter of a one-character escape and what it stands for.
constexpr std::array<std::pair<char, char>, 12> kEscapes = {{{'a', '\a'},
                                                             {'b', '\b'},
                                                             {'f', '\f'},
                                                             {'n', '\n'},
                                                             {'r', '\r'},
                                                             {'t', '\t'},
                                                             {'v', '\v'},
                                                             {'\\', '\\'},
                                                             {'\'', '\''},
                                                             {'"', '"'},
                                                             {'`', '`'},
                                                             {'?', '?'}}};

constexpr std::string_view kSymbols[] = {"==", "!=", "<=", ">=", "&&", "||", "<", ">",
                                         "!",  "(",  ")",  "[",  "]",  "{",  "}", ".",
                                         ",",  "+",  "-",  "*",  "/",  "%",  "?", ":"};

}  // namespace

Token Lexer::next() {
  skip_blanks();
  if (at_ >= source_.size()) return {TokenKind::kEnd, static_cast<std::uint32_t>(at_), "", 0};
  const char c = peek();
  if (is_name_start(c)) return name_or_prefixed_string();
  if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
  if (is_quote(c)) return string(false);
  return symbol();
}

void Lexer::skip_blanks() {
  while (at_ < source_.size()) {
    const char c = peek();
    if (c == '/' && peek(1) == '/') {
      while (at_ < source_.size() && peek() != '\n') ++at_;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
      ++at_;
    } else {
      return;
    }
  }
}

Token Lexer::bad(std::size_t offset, std::string text) {
  return {TokenKind::kBad, static_cast<std::uint32_t>(offset), std::move(text), 0};
}

Token Lexer::name_or_prefixed_string() {
  const std::size_t start = at_;
  while (is_name(peek())) ++at_;
  const std::string_view word = source_.substr(start, at_ - start);
  if (is_quote(peek())) {
    if (word == "r" || word == "R") {
      Token token = string(true);
      if (token.kind == TokenKind::kString) token.offset = static_cast<std::uint32_t>(start);
      return token;
    }
    if (word == "b" || word == "B" || word == "br" || word == "bR" || word == "Br" ||
        word == "BR" || word == "rb" || word == "RB") {
      return bad(start, "byte strings (b\"...\") are not supported; fields are text: \"...\"");
    }
  }
  return {TokenKind::kName, static_cast<std::uint32_t>(start), std::string(word), 0};
}

Token Lexer::number() {
  const std::size_t start = at_;
  TokenKind kind = TokenKind::kInt;
  if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
    at_ += 2;
    while (digit_value(peek()) < 16) ++at_;
    if (at_ == start + 2) return bad(start, "a hexadecimal number needs digits after 0x");
  } else {
    while (is_digit(peek())) ++at_;
    if (skip_fraction()) kind = TokenKind::kDouble;
  }
  const std::size_t end = at_;
  if (kind == TokenKind::kInt && (peek() == 'u' || peek() == 'U')) {
    kind = TokenKind::kUint;
    ++at_;
  }
  if (is_name(peek())) return bad(start, "a number runs into a word");
  return {kind, static_cast<std::uint32_t>(start), std::string(source_.substr(start, end - start)),
          0};
}

// Fraction and exponent of a number whose whole part was read. False: it has neither.
bool Lexer::skip_fraction() {
  const std::size_t start = at_;
  if (peek() == '.' && is_digit(peek(1))) {
    ++at_;
    while (is_digit(peek())) ++at_;
  }
  const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
  if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
    at_ += 1 + sign;
    while (is_digit(peek())) ++at_;
  }
  return at_ > start;
}

Token Lexer::string(bool raw) {
  const std::size_t start = at_;
  const char quote = peek();
  const bool triple = peek(1) == quote && peek(2) == quote;
  at_ += triple ? 3 : 1;
  auto text_at = static_cast<std::uint32_t>(at_);
  std::string out;
  while (at_ < source_.size()) {
    const char c = peek();
    if (c == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
      at_ += triple ? 3 : 1;
      return {TokenKind::kString, static_cast<std::uint32_t>(start), std::move(out), text_at};
    }
    if (!triple && (c == '\n' || c == '\r')) break;
    if (c == '\\' && !raw) {
      text_at = 0;
      const std::size_t escape_start = at_;
      if (auto mistake = escape(out)) return bad(escape_start, *mistake);
    } else {
      out += c;
      ++at_;
    }
  }
  return bad(start, std::string("the string has no closing ") + quote);
}

std::optional<std::string> Lexer::escape(std::string& out) {
  const char letter = peek(1);
  at_ += 2;
  for (const auto& [name, value] : kEscapes) {
    if (letter == name) {
      out += value;
      return std::nullopt;
    }
  }
  switch (letter) {
    case 'x':
    case 'X':
      return code_point(out, 2, 16);
    case 'u':
      return code_point(out, 4, 16);
    case 'U':
      return code_point(out, 8, 16);
    default:
      break;
  }
  if (letter >= '0' && letter <= '3') {
    --at_;
    return code_point(out, 3, 8);
  }
  return "unknown escape; allowed: \\a \\b \\f \\n \\r \\t \\v \\\\ \\' \\\" \\` \\? \\xHH \\uHHHH "
         "\\UHHHHHHHH \\OOO, or a raw string r\"...\"";
}

std::optional<std::string> Lexer::code_point(std::string& out, int digits, int base) {
  std::uint32_t code = 0;
  for (int i = 0; i < digits; ++i, ++at_) {
    const int value = digit_value(peek());
    if (value >= base) {
      return "this escape needs " + std::to_string(digits) +
             (base == 16 ? " hexadecimal" : " octal") + " digits";
    }
    code = code * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(value);
  }
  if (!append_code_point(out, code)) return "this escape names no Unicode character";
  return std::nullopt;
}

Token Lexer::symbol() {
  const std::size_t start = at_;
  for (const std::string_view known : kSymbols) {
    if (source_.substr(at_).starts_with(known)) {
      at_ += known.size();
      return {TokenKind::kSymbol, static_cast<std::uint32_t>(start), std::string(known), 0};
    }
  }
  ++at_;
  const char c = source_[start];
  if (c == '=') return bad(start, "a single = is not an operator; compare with ==");
  if (c == '&') return bad(start, "a single & is not an operator; \"and\" is &&");
  if (c == '|') return bad(start, "a single | is not an operator; \"or\" is ||");
  std::size_t end = at_;
  while (end < source_.size() && (static_cast<unsigned char>(source_[end]) & 0xc0) == 0x80) ++end;
  return bad(start, "the character " + shown(std::string(source_.substr(start, end - start))) +
                        " has no meaning here");
}

}  // namespace cicd
