// SPDX-License-Identifier: Apache-2.0
// Recursive descent over the grammar of the Common Expression Language. What the grammar has but
// rules may not use is read all the same and reported with a message of its own, so that one run
// shows every mistake; a syntax error ends the reading.
#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "rule/ast.h"
#include "rule/lexer.h"

namespace cicd {

namespace {

constexpr const char* kArithmetic =
    "arithmetic (+ - * / %) is not allowed in event rules; write the value itself";
constexpr const char* kMultiplication =
    "* / % are not allowed in correlations; counts are added and subtracted only";
constexpr const char* kIndex =
    "indexing with [] is not allowed; look through a list with exists(x, ...)";
constexpr const char* kMapLiteral = "maps and messages {...} are not allowed in conditions";
constexpr const char* kTooDeep = "the condition is nested deeper than 250 levels";

constexpr std::string_view kKeywords[] = {"true", "false", "null", "in"};
constexpr std::string_view kReserved[] = {
    "as",  "break", "const",   "continue",  "else",   "for", "function", "if",   "import",
    "let", "loop",  "package", "namespace", "return", "var", "void",     "while"};

class Parser {
 public:
  Parser(const std::string& text, ConditionKind kind)
      : lexer_(text), correlates_(kind == ConditionKind::kCorrelation) {
    advance();
  }

  Ast run() {
    const std::uint32_t root = expression();
    if (!failed_ && token_.kind != TokenKind::kEnd) unexpected("an operator (&&, ||, ==, ...)");
    ast_.root = root;
    ast_.is_complete = !failed_;
    return std::move(ast_);
  }

 private:
  std::uint32_t expression();
  std::uint32_t disjunction();
  std::uint32_t conjunction();
  std::uint32_t relation();
  std::uint32_t addition();
  std::uint32_t multiplication();
  std::uint32_t unary();
  std::uint32_t negative(std::uint32_t offset);
  std::uint32_t member();
  std::uint32_t select(std::uint32_t of);
  std::uint32_t primary();
  std::uint32_t name_or_call();
  std::uint32_t number(bool negative);
  std::uint32_t list(std::uint32_t offset);
  std::vector<std::uint32_t> arguments(std::string_view close);
  std::uint32_t refused_map();

  void advance() {
    token_ = lexer_.next();
    if (token_.kind == TokenKind::kBad) fail_at(token_.offset, token_.text);
  }
  bool accept(std::string_view symbol) {
    if (failed_ || !token_.is(symbol)) return false;
    advance();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) unexpected(std::string(symbol));
  }
  std::uint32_t add(AstNode node);
  std::uint32_t error_node() { return add({}); }
  void refuse(std::uint32_t offset, const char* why) {
    ast_.mistakes.push_back({offset, why, false});
  }
  // The first syntax error ends the reading: every rule returns as soon as failed_ is set.
  void fail_at(std::uint32_t offset, std::string text) {
    if (!failed_) ast_.mistakes.push_back({offset, std::move(text), false});
    failed_ = true;
  }
  void unexpected(const std::string& wanted);

  Lexer lexer_;
  const bool correlates_;
  Token token_;
  Ast ast_;
  int depth_ = 0;
  bool failed_ = false;
};

void Parser::unexpected(const std::string& wanted) {
  const std::string found = token_.kind == TokenKind::kEnd      ? "the condition ends"
                            : token_.kind == TokenKind::kString ? "there is a string"
                                                                : "there is " + shown(token_.text);
  fail_at(token_.offset, "expected " + wanted + ", but here " + found);
}

std::uint32_t Parser::add(AstNode node) {
  // After a failure the tree is thrown away: it does not grow, and its numbers mean nothing.
  if (failed_) return 0;
  for (const std::uint32_t child : node.children) {
    node.depth = std::max<std::uint16_t>(node.depth, ast_[child].depth + 1);
  }
  if (node.depth > kMaxConditionDepth) fail_at(node.offset, kTooDeep);
  if (ast_.nodes.size() >= kMaxConditionNodes) {
    fail_at(node.offset, "the condition has more than 100000 parts; use lists or several rules");
  }
  ast_.nodes.push_back(std::move(node));
  return static_cast<std::uint32_t>(ast_.nodes.size() - 1);
}

std::uint32_t Parser::expression() {
  if (depth_ >= kMaxConditionDepth) {
    fail_at(token_.offset, kTooDeep);
    return error_node();
  }
  ++depth_;
  std::uint32_t node = disjunction();
  if (!failed_ && token_.is("?")) {
    const std::uint32_t offset = token_.offset;
    advance();
    const std::uint32_t yes = disjunction();
    expect(":");
    const std::uint32_t no = failed_ ? 0 : expression();
    node = add({AstKind::kChoose, {}, 1, offset, 0, {}, {node, yes, no}});
  }
  --depth_;
  return node;
}

std::uint32_t Parser::disjunction() {
  const std::uint32_t first = conjunction();
  if (failed_ || !token_.is("||")) return first;
  AstNode node{AstKind::kOr, {}, 1, token_.offset, 0, {}, {first}};
  while (accept("||")) node.children.push_back(conjunction());
  return add(std::move(node));
}

std::uint32_t Parser::conjunction() {
  const std::uint32_t first = relation();
  if (failed_ || !token_.is("&&")) return first;
  AstNode node{AstKind::kAnd, {}, 1, token_.offset, 0, {}, {first}};
  while (accept("&&")) node.children.push_back(relation());
  return add(std::move(node));
}

std::uint32_t Parser::relation() {
  static constexpr std::pair<std::string_view, CompareOp> kOperators[] = {
      {"==", CompareOp::kEqual},        {"!=", CompareOp::kNotEqual}, {"<=", CompareOp::kLessEqual},
      {">=", CompareOp::kGreaterEqual}, {"<", CompareOp::kLess},      {">", CompareOp::kGreater}};
  std::uint32_t left = addition();
  while (!failed_) {
    const std::uint32_t offset = token_.offset;
    if (token_.kind == TokenKind::kName && token_.text == "in") {
      advance();
      const std::uint32_t right = addition();
      left = add({AstKind::kIn, {}, 1, offset, 0, {}, {left, right}});
      continue;
    }
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [&](const auto& entry) { return token_.is(entry.first); });
    if (found == std::end(kOperators)) break;
    advance();
    const std::uint32_t right = addition();
    left = add({AstKind::kCompare, found->second, 1, offset, 0, {}, {left, right}});
  }
  return left;
}

std::uint32_t Parser::addition() {
  std::uint32_t left = multiplication();
  if (!correlates_ && !failed_ && (token_.is("+") || token_.is("-"))) {
    refuse(token_.offset, kArithmetic);
    while (accept("+") || accept("-")) multiplication();
    return error_node();
  }
  while (!failed_ && (token_.is("+") || token_.is("-"))) {
    const AstKind kind = token_.is("+") ? AstKind::kAdd : AstKind::kSubtract;
    const std::uint32_t offset = token_.offset;
    advance();
    const std::uint32_t right = multiplication();
    left = add({kind, {}, 1, offset, 0, {}, {left, right}});
  }
  return left;
}

std::uint32_t Parser::multiplication() {
  const std::uint32_t first = unary();
  if (failed_ || !(token_.is("*") || token_.is("/") || token_.is("%"))) return first;
  refuse(token_.offset, correlates_ ? kMultiplication : kArithmetic);
  while (accept("*") || accept("/") || accept("%")) unary();
  return error_node();
}

std::uint32_t Parser::unary() {
  const std::uint32_t offset = token_.offset;
  if (token_.is("-") && !failed_) return negative(offset);
  std::size_t count = 0;
  while (accept("!")) ++count;
  std::uint32_t node = member();
  // Two keep the type check (!!x needs a bool) and the depth small.
  if (count > 2) count = 2 - count % 2;
  for (; count > 0; --count) node = add({AstKind::kNot, {}, 1, offset, 0, {}, {node}});
  return node;
}

std::uint32_t Parser::negative(std::uint32_t offset) {
  std::size_t count = 0;
  while (accept("-")) ++count;
  if (!failed_ && (token_.kind == TokenKind::kInt || token_.kind == TokenKind::kDouble)) {
    return number(count % 2 == 1);
  }
  std::uint32_t node = member();
  if (count > 2) count = 2 - count % 2;
  for (; count > 0; --count) node = add({AstKind::kNegate, {}, 1, offset, 0, {}, {node}});
  return node;
}

std::uint32_t Parser::member() {
  std::uint32_t node = primary();
  while (!failed_) {
    const std::uint32_t offset = token_.offset;
    if (accept(".")) {
      node = select(node);
    } else if (accept("[")) {
      if (!correlates_) refuse(offset, kIndex);
      const std::uint32_t key = failed_ ? 0 : expression();
      expect("]");
      node = correlates_ ? add({AstKind::kIndex, {}, 1, offset, 0, {}, {node, key}}) : error_node();
    } else if (accept("{")) {
      node = refused_map();
    } else {
      break;
    }
  }
  return node;
}

std::uint32_t Parser::select(std::uint32_t of) {
  // Reserved words may stand here, words of the language may not.
  if (failed_ || token_.kind != TokenKind::kName ||
      std::find(std::begin(kKeywords), std::end(kKeywords), token_.text) != std::end(kKeywords)) {
    unexpected("a name after the dot");
    return of;
  }
  Token name = std::exchange(token_, {});
  advance();
  if (!accept("(")) {
    return add({AstKind::kSelect, {}, 1, name.offset, 0, std::move(name.text), {of}});
  }
  std::vector<std::uint32_t> children = arguments(")");
  children.insert(children.begin(), of);
  return add({AstKind::kMethod, {}, 1, name.offset, 0, std::move(name.text), std::move(children)});
}

std::uint32_t Parser::primary() {
  if (failed_) return 0;
  const std::uint32_t offset = token_.offset;
  switch (token_.kind) {
    case TokenKind::kInt:
    case TokenKind::kUint:
    case TokenKind::kDouble:
      return number(false);
    case TokenKind::kString: {
      const std::uint32_t node = add(
          {AstKind::kString, {}, 1, offset, token_.text_at, std::exchange(token_.text, {}), {}});
      advance();
      return node;
    }
    case TokenKind::kName:
      return name_or_call();
    default:
      break;
  }
  if (accept("(")) {
    const std::uint32_t node = failed_ ? 0 : expression();
    expect(")");
    return node;
  }
  if (accept("[")) return list(offset);
  if (accept("{")) return refused_map();
  if (accept(".")) {
    if (failed_ || token_.kind != TokenKind::kName) {
      unexpected("a name after the dot");
      return error_node();
    }
    const std::uint32_t node = name_or_call();
    if (!failed_ && ast_[node].kind == AstKind::kName) ast_.nodes[node].number = 1;
    return node;
  }
  unexpected("a value (a field, a string, a number, true, false)");
  return error_node();
}

std::uint32_t Parser::name_or_call() {
  Token name = std::exchange(token_, {});
  advance();
  if (name.text == "true" || name.text == "false") {
    return add({AstKind::kBool, {}, 1, name.offset, name.text == "true", {}, {}});
  }
  if (name.text == "null") {
    refuse(name.offset, "null is not allowed: a field without a value is \"\", 0 or false");
    return error_node();
  }
  if (name.text == "in" ||
      std::find(std::begin(kReserved), std::end(kReserved), name.text) != std::end(kReserved)) {
    fail_at(name.offset, "the word " + name.text + " is reserved; expected a value");
    return error_node();
  }
  if (!accept("(")) return add({AstKind::kName, {}, 1, name.offset, 0, std::move(name.text), {}});
  return add({AstKind::kCall, {}, 1, name.offset, 0, std::move(name.text), arguments(")")});
}

std::uint32_t Parser::number(bool negative) {
  const Token number = std::exchange(token_, {});
  advance();
  const bool hexadecimal = number.text.starts_with("0x") || number.text.starts_with("0X");
  const std::string digits = (negative ? "-" : "") + number.text.substr(hexadecimal ? 2 : 0);
  const char* end = digits.data() + digits.size();
  const auto add_number = [&](AstKind kind, auto value, auto... format) {
    const auto [stop, failure] = std::from_chars(digits.data(), end, value, format...);
    if (failure != std::errc() || stop != end) {
      refuse(number.offset, "the number does not fit into 64 bits");
      return error_node();
    }
    return add({kind, {}, 1, number.offset, std::bit_cast<std::int64_t>(value), {}, {}});
  };
  const int base = hexadecimal ? 16 : 10;
  if (number.kind == TokenKind::kDouble) return add_number(AstKind::kDouble, 0.0);
  if (number.kind == TokenKind::kUint) return add_number(AstKind::kUint, std::uint64_t{0}, base);
  return add_number(AstKind::kInt, std::int64_t{0}, base);
}

// Its opening bracket was taken already. A comma may follow the last element.
std::uint32_t Parser::list(std::uint32_t offset) {
  AstNode node{AstKind::kList, {}, 1, offset, 0, {}, {}};
  while (!failed_ && !accept("]")) {
    node.children.push_back(expression());
    if (!accept(",") && !failed_ && !token_.is("]")) expect("]");
  }
  return add(std::move(node));
}

std::vector<std::uint32_t> Parser::arguments(std::string_view close) {
  std::vector<std::uint32_t> out;
  if (accept(close)) return out;
  do {
    if (failed_) return out;
    out.push_back(expression());
  } while (accept(","));
  expect(close);
  return out;
}

// Reads over a map; its opening bracket was taken already.
std::uint32_t Parser::refused_map() {
  refuse(token_.offset, kMapLiteral);
  while (!failed_ && !accept("}")) {
    expression();
    if (accept(":") && !failed_) expression();
    if (!accept(",") && !failed_ && !token_.is("}")) expect("}");
  }
  return error_node();
}

}  // namespace

Ast parse_condition(const std::string& text, ConditionKind kind) {
  return Parser(text, kind).run();
}

}  // namespace cicd
