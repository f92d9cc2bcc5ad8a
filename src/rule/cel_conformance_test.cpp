// SPDX-License-Identifier: Apache-2.0
// The simple tests of the public CEL specification, those of them that are about what conditions
// have: `expression == expected value` must make a rule fire, and its opposite must not. Which do
// not apply is told by rules over the text of the expression (why_not), never by name.
//
// The data is not part of the repository: shared/data/cel-spec beside the checkout or above it.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "rule/normalize.h"
#include "rule/program.h"
#include "rule/test_events.h"
#include "support/textproto.h"

namespace cicd {
namespace {

namespace fs = std::filesystem;
using test::TextMessage;

constexpr const char* kCase = "text in upper case or not in NFC, which the format changes";
constexpr const char* kFiles[] = {"basic", "comparisons", "conversions", "fields",
                                  "lists", "logic",       "macros",      "integer_math",
                                  "parse", "string",      "string_ext"};

std::optional<fs::path> data_folder() {
  for (fs::path at = fs::path(CICD_SOURCE_DIR).parent_path();; at = at.parent_path()) {
    if (fs::is_directory(at / "shared/data/cel-spec")) return at / "shared/data/cel-spec";
    if (at == at.parent_path()) return std::nullopt;
  }
}

// An expression cut into pieces, independently of our lexer: words with their dots, signs, and
// what quotes enclose.
struct Piece {
  enum class Kind { kWord, kNumber, kSign, kText } kind;
  std::string text;
};

std::size_t end_of_quote(const std::string& text, std::size_t at, bool raw) {
  const std::string quote = text.compare(at, 3, std::string(3, text[at])) == 0
                                ? std::string(3, text[at])
                                : std::string(1, text[at]);
  for (at += quote.size(); at < text.size(); ++at) {
    if (text[at] == '\\' && !raw) {
      ++at;
    } else if (text.compare(at, quote.size(), quote) == 0) {
      return at + quote.size();
    }
  }
  return text.size();
}

std::vector<Piece> pieces_of(const std::string& text) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  std::vector<Piece> out;
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (text.compare(at, 2, "//") == 0) {
      at = std::min(text.find('\n', at), text.size());
    } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
    } else if (c == '"' || c == '\'') {
      const bool raw = !out.empty() && out.back().kind == Piece::Kind::kWord &&
                       out.back().text.find_first_of("rR") != std::string::npos &&
                       out.back().text.size() <= 2;
      const std::size_t end = end_of_quote(text, at, raw);
      out.push_back({Piece::Kind::kText, text.substr(at, end - at)});
      at = end;
    } else if (is_word(c)) {
      const std::size_t start = at;
      const bool is_number = std::isdigit(static_cast<unsigned char>(c)) != 0;
      while (at < text.size() &&
             (is_word(text[at]) || (is_number && text[at] == '.') ||
              (is_number && (text[at] == '+' || text[at] == '-') &&
               (text[at - 1] == 'e' || text[at - 1] == 'E') && text[start + 1] != 'x'))) {
        ++at;
      }
      out.push_back(
          {is_number ? Piece::Kind::kNumber : Piece::Kind::kWord, text.substr(start, at - start)});
    } else {
      out.push_back({Piece::Kind::kSign, std::string(1, c)});
      ++at;
    }
  }
  return out;
}

// Without what escapes stand for; the quotes stay.
std::string unescaped_part(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char letter = text[++at];
    at += letter == 'U' ? 8 : letter == 'u' ? 4 : letter == 'x' || letter == 'X' ? 2 : 0;
  }
  return out;
}

const std::set<std::string> kOurFunctions = {
    "int",        "uint",     "double",   "string",  "bool", "duration", "dyn", "type",
    "startsWith", "endsWith", "contains", "matches", "size", "exists",   "all", "exists_one"};
const std::set<std::string> kExtended = {"matches", "size", "all", "exists_one", "in"};

// Nothing for a case that applies.
std::string why_not(const TextMessage& test, const std::vector<Piece>& pieces) {
  if (test.text("disable_check") == "true") return "evaluation without type check";
  if (test.find("bindings") != nullptr || test.find("type_env") != nullptr) {
    return "variables of the test's own";
  }
  if (test.find("container") != nullptr) return "message types";
  if (test.text("disable_macros") == "true") return "macros switched off";
  using Kind = Piece::Kind;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto is = [&](std::size_t at, const char* sign) {
      return at < pieces.size() && pieces[at].kind == Kind::kSign && pieces[at].text == sign;
    };
    const bool after_value =
        i > 0 && (pieces[i - 1].kind != Kind::kSign || is(i - 1, ")") || is(i - 1, "]"));
    const Piece& piece = pieces[i];
    if (is(i, "{")) return "maps and messages";
    if (is(i, "[") && after_value && pieces[i - 1].text != "in")
      return "indexing, refused by the format";
    if (after_value && (is(i, "+") || is(i, "-") || is(i, "*") || is(i, "/") || is(i, "%"))) {
      return "arithmetic, refused by the format";
    }
    if (piece.kind == Kind::kWord && i + 1 < pieces.size() && pieces[i + 1].kind == Kind::kText &&
        piece.text.find_first_of("bB") != std::string::npos && piece.text.size() <= 2) {
      return "bytes";
    }
    if (piece.kind == Kind::kText &&
        normalized(unescaped_part(piece.text)) != unescaped_part(piece.text)) {
      return kCase;
    }
    if (piece.kind != Kind::kWord) continue;
    if (piece.text == "null") return "null";
    if (piece.text == "list" && !is(i + 1, "(")) return "the name list, which holds lists here";
    if (!is(i + 1, "(")) continue;
    if (piece.text == "bytes") return "bytes";
    if (piece.text == "timestamp") return "timestamps, which fail in the format";
    if (piece.text == "map" || piece.text == "filter" || piece.text == "has") {
      return "map, filter and has, refused by the format";
    }
    if (piece.text != "in" && !kOurFunctions.contains(piece.text)) {
      return "functions of extensions";
    }
  }
  return "";
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char escaped[8];
    const auto byte = static_cast<unsigned char>(c);
    std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
    out += byte < 0x20 || c == '"' || c == '\\' ? std::string(escaped) : std::string(1, c);
  }
  return out + "\"";
}

// The value as an expression; nothing when it is of a kind that conditions do not have.
std::optional<std::string> expression_of(const TextMessage& value) {
  if (value.fields.empty()) return std::nullopt;
  const TextMessage::Field& field = value.fields.front();
  if (field.name == "bool_value" || field.name == "int64_value") return field.scalar;
  if (field.name == "uint64_value") return field.scalar + "u";
  if (field.name == "double_value") return "double(\"" + field.scalar + "\")";
  if (field.name == "string_value") return quoted(field.scalar);
  if (field.name == "type_value") return field.scalar == "list" ? "type([])" : field.scalar;
  if (field.name != "list_value") return std::nullopt;
  std::string out = "[";
  for (const TextMessage* element : field.message.all("values")) {
    const auto expression = expression_of(*element);
    if (!expression) return std::nullopt;
    out += *expression + ", ";
  }
  return out + "]";
}

// Whether a rule with this condition fires; nothing when it does not compile.
std::optional<bool> fires(const std::string& condition, RuleLanguage language, std::string& why) {
  RuleSet set;
  set.ruleset_id = "cel";
  set.language = language;
  Rule rule;
  rule.rule_id = "case";
  rule.event_type = EventType::kProcessExec;
  rule.condition = {condition, "cel", 1, 1, {}};
  set.rules = {rule};
  const CompileResult compiled = compile({set});
  for (const Diagnostic& diagnostic : compiled.diagnostics) why += diagnostic.format() + "; ";
  if (compiled.program == nullptr) return std::nullopt;
  return !make_evaluator(compiled.program)->evaluate(test::exec({{"/x", {}}}).record()).empty();
}

// Why the case fails; empty when it passes.
std::string failure_of(const TextMessage& test, const std::string& expression,
                       RuleLanguage language) {
  std::string why;
  if (test.find("eval_error") != nullptr) {
    // A value of whatever type equals itself in type. An error found before evaluation is one too.
    const std::string type = "type(" + expression + "\n)";
    const auto same = fires(type + " == " + type, language, why);
    const auto other = fires(type + " != " + type, language, why);
    return same.value_or(false) || other.value_or(false) ? "it has a value" : "";
  }
  const TextMessage::Field* value = test.find("value");
  const std::string expected = value == nullptr ? "true" : *expression_of(value->message);
  const auto equal = fires("(" + expression + "\n) == " + expected, language, why);
  const auto different = fires("!((" + expression + "\n) == " + expected + ")", language, why);
  if (!equal) return "does not compile: " + why;
  if (!*equal) return "is not " + expected;
  return *different ? "is and is not " + expected : "";
}

struct Group {
  int passed = 0;
  int failed = 0;
  std::map<std::string, int> not_applicable;
};

void run_case(const std::string& name, const TextMessage& test, Group& group) {
  const std::string expression = test.text("expr");
  const std::vector<Piece> pieces = pieces_of(expression);
  std::string reason = why_not(test, pieces);
  const TextMessage::Field* value = test.find("value");
  if (reason.empty() && value != nullptr) {
    const std::string text = value->message.text("string_value");
    if (normalized(text) != text) reason = kCase;
  }
  if (reason.empty() && value != nullptr && !expression_of(value->message)) {
    reason = "a value of a kind that conditions do not have";
  }
  if (!reason.empty()) {
    ++group.not_applicable[reason];
    return;
  }
  bool is_extended = false;
  for (const Piece& piece : pieces) {
    is_extended |= piece.kind == Piece::Kind::kWord && kExtended.contains(piece.text);
  }
  const std::string failure =
      failure_of(test, expression, is_extended ? RuleLanguage::kExtended : RuleLanguage::kPortable);
  ++(failure.empty() ? group.passed : group.failed);
  EXPECT_TRUE(failure.empty()) << name << ": " << expression << "\n  " << failure;
}

TEST(CelConformance, SimpleTestsOfTheSpecification) {
  const auto folder = data_folder();
  if (!folder) GTEST_SKIP() << "optional: shared/data/cel-spec is not beside the checkout";
  Group total;
  for (const char* file : kFiles) {
    std::ifstream in(*folder / (std::string(file) + ".textproto"));
    std::stringstream text;
    text << in.rdbuf();
    ASSERT_FALSE(text.str().empty()) << file;
    const std::string content = text.str();
    const TextMessage read = test::TextProtoReader(content).read();
    for (const TextMessage* section : read.all("section")) {
      Group group;
      const std::string name = std::string(file) + "/" + section->text("name");
      for (const TextMessage* test : section->all("test")) {
        run_case(name + "/" + test->text("name"), *test, group);
      }
      std::printf("%-44s %3d passed", name.c_str(), group.passed);
      for (const auto& [reason, count] : group.not_applicable) {
        std::printf(", %d not applicable (%s)", count, reason.c_str());
        total.not_applicable[reason] += count;
      }
      if (group.failed > 0) std::printf(", %d FAILED", group.failed);
      std::printf("\n");
      total.passed += group.passed;
      total.failed += group.failed;
    }
  }
  int not_applicable = 0;
  std::printf("\nNot applicable, by reason:\n");
  for (const auto& [reason, count] : total.not_applicable) {
    std::printf("  %4d  %s\n", count, reason.c_str());
    not_applicable += count;
  }
  std::printf("CEL conformance: %d passed, %d not applicable, %d failed\n", total.passed,
              not_applicable, total.failed);
  EXPECT_GT(total.passed, 300) << "too much was thought not to apply";
}

}  // namespace
}  // namespace cicd
