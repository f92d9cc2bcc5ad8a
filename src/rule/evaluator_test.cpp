// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A program of one rule per condition, all on one event type.
std::shared_ptr<const Program> program_of(EventType type,
                                          const std::vector<std::string>& conditions,
                                          const std::string& exceptions = "") {
  RuleSet set;
  set.ruleset_id = "test";
  set.lists = {{"tools", {"/usr/bin/CURL", "/usr/bin/wget"}}, {"nothing", {}}};
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    Rule rule;
    rule.rule_id = "rule_" + std::to_string(i);
    rule.event_type = type;
    rule.condition = {conditions[i], "test", 1, 1, {}};
    if (!exceptions.empty()) rule.exceptions = SourceText{exceptions, "test", 1, 1, {}};
    set.rules.push_back(rule);
  }
  CompileResult result = compile({set});
  for (const Diagnostic& diagnostic : result.diagnostics) ADD_FAILURE() << diagnostic.format();
  return result.program;
}

bool fires(const std::string& condition, const test::Event& event,
           const std::string& exceptions = "") {
  const auto program = program_of(event.record().type, {condition}, exceptions);
  if (program == nullptr) return false;
  const auto evaluator = make_evaluator(program);
  return !evaluator->evaluate(event.record()).empty();
}

const std::vector<test::Program> kCurlBelowNpm = {
    {"/usr/bin/curl", {"curl", "-s", "http://Example.test/X"}},
    {"/bin/dash", {"sh", "-c", "node install.js"}},
    {"/usr/bin/node", {"node", "/usr/lib/npm-cli.js", "install"}},
    {"/bin/bash", {"bash"}}};

TEST(Evaluator, ComparesFieldsOfEveryType) {
  const test::Event event = test::open("/etc/Passwd", kCurlBelowNpm);
  EXPECT_TRUE(fires("path == \"/etc/passwd\"", event));
  EXPECT_TRUE(fires("path == '/ETC/PASSWD'", event));
  EXPECT_FALSE(fires("path != \"/etc/passwd\"", event));
  EXPECT_TRUE(fires("is_read", event));
  EXPECT_FALSE(fires("is_write", event));
  EXPECT_TRUE(fires("is_read == true && is_write != is_read", event));
  EXPECT_TRUE(fires("is_read > is_write", event));
  EXPECT_TRUE(fires("flags == 0 && flags <= 0 && flags < 0x10 && -1 < flags", event));
  EXPECT_FALSE(fires("flags > 0 || flags >= 1", event));
  EXPECT_TRUE(fires("path > \"/etc/\" && path < \"/etd\"", event));
}

TEST(Evaluator, TestsTextAtBothEndsAndInside) {
  const test::Event event = test::open("/home/Runner/.npmrc", kCurlBelowNpm);
  EXPECT_TRUE(fires("path.startsWith(\"/home/runner\")", event));
  EXPECT_TRUE(fires("path.endsWith('/.NPMRC')", event));
  EXPECT_TRUE(fires("path.contains(\"runner/\")", event));
  EXPECT_FALSE(fires("path.startsWith(\"home\")", event));
  EXPECT_FALSE(fires("path.endsWith(\"npm\")", event));
  EXPECT_FALSE(fires("path.contains(\"root\")", event));
  EXPECT_TRUE(fires("path.contains(\"\") && \"abc\".endsWith(\"C\")", event));
  EXPECT_TRUE(fires("\"see /home/runner/.npmrc\".endsWith(path)", event));
}

TEST(Evaluator, LogicIsThatOfTheLanguage) {
  const test::Event event = test::open("/x", kCurlBelowNpm);
  EXPECT_TRUE(fires("true || false && false", event));
  EXPECT_FALSE(fires("(true || false) && false", event));
  EXPECT_TRUE(fires("!false && !(false || false)", event));
  EXPECT_TRUE(fires("!!is_read && !!!is_write", event));
  EXPECT_TRUE(fires("(is_read == false) == false", event));
}

TEST(Evaluator, ExistsLooksThroughEveryList) {
  const test::Event event = test::exec(kCurlBelowNpm);
  EXPECT_TRUE(fires("process.argv.exists(a, a.startsWith('http://example.TEST/'))", event));
  EXPECT_FALSE(fires("process.argv.exists(a, a == \"install\")", event));
  EXPECT_TRUE(fires("process.ancestors.exists(p, p.exec_path.endsWith(\"/node\"))", event));
  EXPECT_FALSE(fires("process.ancestors.exists(p, p.exec_path.endsWith(\"/curl\"))", event));
  EXPECT_TRUE(fires("process.ancestors.exists(p, p.argv.exists(a, a == \"install\"))", event));
  EXPECT_TRUE(fires("list.tools.exists(t, process.exec_path == t)", event));
  EXPECT_FALSE(fires("list.nothing.exists(t, true)", event));
}

TEST(Evaluator, DescendantsLieBetweenTheAncestorAndTheProcess) {
  const test::Event event = test::exec(kCurlBelowNpm);
  const auto below = [&](const std::string& above, const std::string& inner) {
    return fires("process.ancestors.exists(p, p.exec_path == \"" + above +
                     "\" && p.descendants.exists(d, d.exec_path == \"" + inner + "\"))",
                 event);
  };
  EXPECT_TRUE(below("/usr/bin/node", "/bin/dash"));
  EXPECT_TRUE(below("/bin/bash", "/bin/dash"));
  EXPECT_TRUE(below("/bin/bash", "/usr/bin/node"));
  EXPECT_FALSE(below("/usr/bin/node", "/usr/bin/node"));  // not the ancestor itself
  EXPECT_FALSE(below("/usr/bin/node", "/usr/bin/curl"));  // not the process of the event
  EXPECT_FALSE(below("/bin/dash", "/bin/bash"));          // not what lies above
  EXPECT_TRUE(
      fires("process.ancestors.exists(a, a.descendants.exists(b, b.descendants.exists(c, "
            "c.exec_path == \"/bin/dash\")))",
            event));
}

TEST(Evaluator, InnerVariableHidesOuterOneAndFields) {
  const test::Event event = test::open("/x", kCurlBelowNpm);
  EXPECT_TRUE(fires("process.argv.exists(path, path == \"curl\")", event));
  EXPECT_TRUE(
      fires("process.argv.exists(a, a == \"curl\" && "
            "process.ancestors.exists(a, a.exec_path == \"/bin/bash\"))",
            event));
}

TEST(Evaluator, RangesOfAddresses) {
  const auto in = [](const std::string& ip, const std::string& range) {
    return fires("inIpRange(remote_ip, \"" + range + "\")", test::connect(ip, 80, kCurlBelowNpm));
  };
  EXPECT_TRUE(in("10.1.2.3", "10.0.0.0/8"));
  EXPECT_TRUE(in("10.1.2.3", "10.1.2.99/24"));
  EXPECT_FALSE(in("11.1.2.3", "10.0.0.0/8"));
  EXPECT_TRUE(in("169.254.169.254", "169.254.169.254/32"));
  EXPECT_FALSE(in("169.254.169.255", "169.254.169.254/32"));
  EXPECT_TRUE(in("::ffff:10.1.2.3", "10.0.0.0/8"));
  EXPECT_TRUE(in("8.8.8.8", "0.0.0.0/0"));
  EXPECT_TRUE(in("fe80::1", "fe80::/10"));
  EXPECT_FALSE(in("fec0::1", "fe80::/10"));
  EXPECT_FALSE(in("8.8.8.8", "::/0"));
  EXPECT_TRUE(in("2001:db8::1", "::/0"));
  EXPECT_FALSE(in("no address", "0.0.0.0/0"));
}

TEST(Evaluator, ExceptionsAndFailedOpensDoNotFire) {
  test::Event event = test::open("/etc/shadow", kCurlBelowNpm);
  EXPECT_TRUE(fires("is_read", event, "path == \"/etc/passwd\""));
  EXPECT_FALSE(fires("is_read", event, "path == \"/etc/shadow\""));
  event.text(field::file_open::kError, "EACCES");
  EXPECT_FALSE(fires("is_read", event));
}

TEST(Evaluator, AnswersToNamesDoNotFireTheirQuestionDid) {
  test::Event event(EventType::kDomain, test::chain(kCurlBelowNpm));
  event.text(field::domain::kDomain, "a.test");
  EXPECT_TRUE(fires("domain == \"a.test\"", event));
  event.text(field::domain::kResult, "NOERROR");
  EXPECT_FALSE(fires("domain == \"a.test\"", event));
}

TEST(Evaluator, AnswersKeptForAProcessDoNotLeakToOthers) {
  const auto program =
      program_of(EventType::kFileOpen,
                 {"process.ancestors.exists(p, p.exec_path.endsWith(\"/node\")) && path == \"/a\"",
                  "process.argv.exists(a, a == \"-s\")", "path == \"/b\" || path == \"/c\"",
                  "!(path == \"/b\" || path == \"/c\")"});
  ASSERT_NE(program, nullptr);
  const auto evaluator = make_evaluator(program);
  const test::Event below = test::open("/a", kCurlBelowNpm);
  const test::Event other = test::open("/a", {{"/bin/cat", {"cat"}}, {"/bin/bash", {"bash"}}});
  const test::Event second = test::open("/b", kCurlBelowNpm);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(evaluator->evaluate(below.record()), ElementsAre(0, 1, 3));
    EXPECT_THAT(evaluator->evaluate(other.record()), ElementsAre(3));
    EXPECT_THAT(evaluator->evaluate(second.record()), ElementsAre(1, 2));
  }
}

TEST(Evaluator, OtherEventTypesAreNotEvaluated) {
  const auto program = program_of(EventType::kFileOpen, {"true"});
  const auto evaluator = make_evaluator(program);
  EXPECT_THAT(evaluator->evaluate(test::exec(kCurlBelowNpm).record()), IsEmpty());
}

TEST(Evaluator, NormalFormOfEventTextAndLiterals) {
  // "e" with a combining acute accent against the composed letter, upper against lower case.
  EXPECT_TRUE(
      fires("path == \"/\\u00c9t\\u00e9\"", test::open("/e\xcc\x81t\xc3\xa9", kCurlBelowNpm)));
  // Not UTF-8: other bytes are other names, and valid parts still match.
  EXPECT_TRUE(fires("path.startsWith(\"/tmp/x\") && path.endsWith(\".so\")",
                    test::open("/TMP/x\xff\xfe.SO", kCurlBelowNpm)));
  EXPECT_FALSE(fires("path == \"/tmp/\\u00ff\"", test::open("/tmp/\xff", kCurlBelowNpm)));
}

TEST(Evaluator, ARuleThatTakesTooLongIsCutOffAndCounted) {
  test::Program many{"/bin/x", {}};
  for (int i = 0; i < 2000; ++i) many.argv.push_back("a");
  const auto program = program_of(EventType::kProcessExec,
                                  {"process.argv.exists(a, process.argv.exists(b, a != b))",
                                   "!process.argv.exists(a, process.argv.exists(b, a != b))",
                                   "process.argv.exists(a, a == \"a\")"});
  const auto evaluator = make_evaluator(program);
  EXPECT_THAT(evaluator->evaluate(test::exec({many}).record()), ElementsAre(2));
  EXPECT_EQ(evaluator->cut_evaluations(), 2u);
}

}  // namespace
}  // namespace cicd
