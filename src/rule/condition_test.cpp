// SPDX-License-Identifier: Apache-2.0
// What conditions may not say, and how they are told. One expectation per message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/ast.h"
#include "rule/checked.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const NamedLists kLists = {{"tools", {"a"}}, {"paths", {"b"}}};

// "offset: text" of every mistake.
std::vector<std::string> mistakes(const std::string& text, EventType type = EventType::kFileOpen,
                                  RuleLanguage language = RuleLanguage::kPortable) {
  const Ast ast = parse_condition(text);
  std::vector<CodeMistake> found = ast.mistakes;
  if (ast.is_complete) check_condition(ast, type, kLists, language, found);
  std::vector<std::string> out;
  for (const CodeMistake& mistake : found) {
    out.push_back(std::to_string(mistake.offset) + ": " + mistake.text);
  }
  return out;
}

void expect_one(const std::string& text, const std::string& part) {
  EXPECT_THAT(mistakes(text), ElementsAre(HasSubstr(part))) << text;
}

TEST(Condition, AcceptsTheWholePortableLanguage) {
  for (const char* text :
       {"true", "is_read", "!is_read", "path == 'a'", "path != \"a\" && flags >= 3 || flags < -2",
        "((is_read))", "flags == 0x1F", "path == r'\\d' // comment\n && is_read",
        "path == \"\"\"a\nb\"\"\"", "path == '\\x41\\u00e9\\U0001F600\\101\\n\\`\\?'",
        "process.argv.exists(a, a == \"x\")", "list.tools.exists(t, path.endsWith(t))",
        "process.ancestors.exists(p, p.argv.exists(a, a == p.exec_path))",
        "process.ancestors.exists(p, p.descendants.exists(d, d.exec_path == path))",
        "inIpRange(path, \"10.0.0.0/8\")", "is_read == (path == \"a\")", "flags == -0x8"}) {
    EXPECT_THAT(mistakes(text), IsEmpty()) << text;
  }
}

TEST(Condition, EveryForbiddenThingHasItsMessage) {
  expect_one("path.matches(\"a.*\")", "5: matches (regular expressions) is not allowed");
  expect_one("matches(path, \"a\")", "0: matches (regular expressions)");
  expect_one("size(path) == 3", "size is not allowed");
  expect_one("path.size() > 3", "size is not allowed");
  expect_one("process.argv[0] == \"a\"", "12: indexing with [] is not allowed");
  expect_one("flags + 1 == 2", "6: arithmetic");
  expect_one("flags - 1 == 2", "arithmetic");
  expect_one("flags * 2 * 2 == 2", "arithmetic");
  expect_one("flags / 2 == 2", "arithmetic");
  expect_one("flags % 2 == 0", "arithmetic");
  expect_one("has(process.argv)", "has() is not allowed");
  expect_one("process.argv.all(a, a == \"x\")", "all is not allowed");
  expect_one("process.argv.map(a, a)", "map is not allowed");
  expect_one("process.argv.filter(a, true)", "filter is not allowed");
  expect_one("process.argv.exists_one(a, true)", "exists_one is not allowed");
  expect_one("path == {\"a\": 1}", "maps and messages");
  expect_one("null == path", "null is not allowed");
  expect_one("bytes(path) == path", "bytes() is not supported");
  expect_one("timestamp(path) == path", "timestamp() is not supported");
  expect_one("path == b\"a\"", "byte strings");
  expect_one("foo(path)", "unknown function foo; allowed: startsWith");
}

TEST(Condition, NamesThatAreNotThere) {
  expect_one("nothing == 1",
             "0: unknown name nothing; file_open has: path, is_read, is_write, "
             "flags, process, list");
  expect_one("is_read && remote_port == 22", "11: remote_port is a field of network_connect, but");
  expect_one("error == \"ENOENT\"", "field error is written to logs only");
  EXPECT_THAT(mistakes("script_path == \"a\"", EventType::kProcessExec),
              ElementsAre(HasSubstr("logs only; rules on process_exec have: is_memfd, process")));
  expect_one("process.pid == 0", "8: process has no pid; it has: exec_path, argv, ancestors");
  expect_one("process.ancestors.exists(p, p.ancestors == 1)", "an ancestor has no ancestors");
  expect_one("list.other.exists(a, true)",
             "5: the rule set has no list other; it has: paths, tools");
  expect_one("path.length == 1", "a string has no parts");
}

TEST(Condition, TypesMustFit) {
  expect_one("path", "a condition must be true or false, this is a string");
  expect_one("path == 1", "5: a string cannot be compared with a int");
  expect_one("is_read == \"true\"", "a bool cannot be compared with a string");
  expect_one("process == process", "a process cannot be compared");
  expect_one("process.argv == \"a\"", "a list of strings cannot be compared");
  expect_one("flags && is_read", "0: && needs true or false, this is a int");
  expect_one("!path", "! needs true or false, this is a string");
  expect_one("!!path", "! needs true or false");
  expect_one("flags.startsWith(\"a\")", "startsWith works on a string, not on a int");
  expect_one("path.endsWith(3)", "14: endsWith takes a string, not a int");
  expect_one("path.contains()", "contains takes one argument");
  expect_one("path.exists(a, true)", "exists looks through a list, this is a string");
  expect_one("process.argv.exists(a)", "exists is written list.exists(x, condition on x)");
  expect_one("process.argv.exists(a.b, true)", "exists is written");
  expect_one("process.argv.exists(a, a)", "23: exists needs true or false, this is a string");
  expect_one("inIpRange(path, path)", "16: the range of inIpRange must be written out");
  expect_one("inIpRange(flags, \"10.0.0.0/8\")", "takes an address as a string");
  for (const char* range : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "::/129",
                            "10.0.0/8", "", "/8", "::1/", "fe80::1%eth0/64"}) {
    expect_one("inIpRange(path, \"" + std::string(range) + "\")", "is no range");
  }
}

TEST(Condition, SyntaxErrors) {
  expect_one("", "0: expected a value");
  expect_one("!#", "1: the character # has no meaning here");
  expect_one("!", "1: expected a value");
  expect_one("is_read &&", "10: expected a value");
  expect_one("(is_read", "8: expected ), but here the condition ends");
  expect_one("is_read is_write", "8: expected an operator");
  expect_one("path = \"a\"", "5: a single = is not an operator");
  expect_one("is_read & is_write", "a single &");
  expect_one("is_read | is_write", "a single |");
  expect_one("path == \"a", "8: the string has no closing \"");
  expect_one("path == 'a\nb'", "the string has no closing '");
  expect_one("path == \"\\q\"", "9: unknown escape");
  expect_one("path == \"\\x4\"", "this escape needs 2 hexadecimal digits");
  expect_one("path == \"\\ud800\"", "names no Unicode character");
  expect_one("path == \"\\U00110000\"", "names no Unicode character");
  expect_one("flags == 99999999999999999999", "does not fit into 64 bits");
  expect_one("flags == 12abc", "a number runs into a word");
  expect_one("for == 1", "the word for is reserved");
  expect_one("path.", "expected a name after the dot");
  expect_one("path == \xc3\xa9", "the character \xc3\xa9 has no meaning here");
  expect_one(std::string("is_read \0", 9), "the character ? has no meaning here");
}

TEST(Condition, AllMistakesAreReported) {
  EXPECT_THAT(mistakes("nope == 1 && path.matches(\"a\") && flags + 1 == 2 && path == 3"),
              testing::SizeIs(4));
}

TEST(Condition, DepthAndSizeAreBounded) {
  const auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  EXPECT_THAT(mistakes(repeat("(", 200) + "is_read" + repeat(")", 200)), IsEmpty());
  expect_one(repeat("(", 300) + "is_read" + repeat(")", 300), "nested deeper than 250 levels");
  expect_one(repeat("(", 1'000'000), "nested deeper than 250 levels");
  expect_one(repeat("!", 1'000'000) + "is_read && x", "unknown name x");
  EXPECT_THAT(mistakes(repeat("-", 100'001) + "flags == 1"), IsEmpty());
  EXPECT_THAT(mistakes(repeat("-", 100'001) + "7 == flags"), IsEmpty());
  expect_one("process" + repeat(".a", 100'000), "nested deeper");
  expect_one("true" + repeat(" == true", 100'000), "nested deeper");
  expect_one("flags" + repeat(" + 1", 1000) + " == 1", "arithmetic");
  expect_one("is_read" + repeat(" && is_read", 200'000), "more than 100000 parts");
  EXPECT_THAT(mistakes("is_read" + repeat(" || is_read", 50'000)), IsEmpty());
  EXPECT_THAT(mistakes(repeat("is_read ? true : ", 1000) + "true"),
              testing::Contains(HasSubstr("nested deeper")));
  const std::string nested = "process.argv.exists(a, ";
  EXPECT_THAT(mistakes(repeat(nested, 4) + "true))))"), IsEmpty());
  expect_one(repeat(nested, 5) + "true)))))", "more than 4 exists inside each other");
}

}  // namespace
}  // namespace cicd
