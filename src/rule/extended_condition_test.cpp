// SPDX-License-Identifier: Apache-2.0
// The extended language of conditions, operator by operator, and what the portable one says of it;
// values that can be errors; the advice on cost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

CompileResult compile_one(const std::string& condition, EventType type,
                          RuleLanguage language = RuleLanguage::kExtended,
                          const std::string& exceptions = "") {
  RuleSet set;
  set.ruleset_id = "s";
  set.language = language;
  set.lists = {{"tools", {"/usr/bin/CURL", "/usr/bin/wget", "/usr/bin/curl"}}, {"none", {}}};
  Rule rule;
  rule.rule_id = "r";
  rule.event_type = type;
  rule.condition = {condition, "t", 1, 1, {}};
  if (!exceptions.empty()) rule.exceptions = SourceText{exceptions, "t", 2, 1, {}};
  set.rules = {rule};
  return compile({set});
}

std::vector<std::string> mistakes(const std::string& condition,
                                  RuleLanguage language = RuleLanguage::kExtended,
                                  EventType type = EventType::kFileOpen) {
  std::vector<std::string> out;
  for (const Diagnostic& one : compile_one(condition, type, language).diagnostics) {
    out.push_back(one.format());
  }
  return out;
}

bool fires(const std::string& condition, const test::Event& event,
           const std::string& exceptions = "", RuleLanguage language = RuleLanguage::kExtended) {
  const CompileResult compiled = compile_one(condition, event.record().type, language, exceptions);
  for (const Diagnostic& one : compiled.diagnostics) ADD_FAILURE() << one.format();
  return compiled.program != nullptr &&
         !make_evaluator(compiled.program)->evaluate(event.record()).empty();
}

bool fires_portable(const std::string& condition, const test::Event& event) {
  return fires(condition, event, "", RuleLanguage::kPortable);
}

ProcessRef process_of(const std::string& path, std::uint32_t uid, const std::string& cwd,
                      ProcessRef parent = nullptr) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = path;
  image->argv = {path, "-c"};
  image->cwd = cwd;
  auto process = std::make_shared<Process>();
  process->image = std::move(image);
  process->uid = uid;
  process->parent = std::move(parent);
  return process;
}

const std::vector<test::Program> kChain = {{"/usr/bin/curl", {"curl", "-s", "HTTP://x"}},
                                           {"/bin/dash", {"sh", "-c", "curl"}},
                                           {"/usr/bin/node", {"node"}},
                                           {"/bin/bash", {"bash"}}};
const test::Event kOpen = test::open("/home/É/.NPMrc", kChain);

TEST(Extended, Matches) {
  EXPECT_TRUE(fires(R"(path.matches("npmrc$"))", kOpen));
  EXPECT_TRUE(fires(R"(path.matches("NPMRC$"))", kOpen)) << "in either case";
  EXPECT_TRUE(fires(R"(matches(path, r"^/home/\S+/\.npmrc$"))", kOpen)) << "\\S is not \\s";
  EXPECT_FALSE(fires(R"(path.matches("^npmrc"))", kOpen));
  EXPECT_TRUE(fires("path.matches('/\xc3\x89/')", kOpen));
  EXPECT_TRUE(fires("path.matches('/\xc3\xa9/')", kOpen));
  EXPECT_TRUE(fires("path.matches('/E\xcc\x81/')", kOpen)) << "the pattern is composed";
  EXPECT_TRUE(fires(R"(path.matches("/home/./"))", kOpen)) << "a point is a character, no byte";
  EXPECT_TRUE(fires(R"(path.matches(""))", kOpen));
  EXPECT_TRUE(fires(R"(process.argv.exists(a, a.matches("^https?://")))", kOpen));
  EXPECT_TRUE(fires(R"(string(flags).matches("^\\d$"))", kOpen));
}

TEST(Extended, MistakesInPatternsHaveTheirPlace) {
  EXPECT_THAT(mistakes(R"(path.matches("a[b"))"),
              ElementsAre(HasSubstr("t:1:16: error: this is no regular expression (RE2 syntax): "
                                    "missing ]: [b (rule r)")));
  EXPECT_THAT(mistakes(R"(path.matches(r"ab(?<x"))"), ElementsAre(HasSubstr("t:1:18: error")));
  EXPECT_THAT(mistakes(R"(path.matches("\\d[b"))"), ElementsAre(HasSubstr("t:1:14: error")))
      << "escapes move text: then it is the place of the string";
  EXPECT_THAT(mistakes("path.matches('((((a{100}){100}){100}){100})')"), SizeIs(1));
  EXPECT_THAT(mistakes(R"(path.matches("(\\pL{500}){2}\\pL{900}"))"),
              ElementsAre(HasSubstr("the pattern is too large (256 KiB compiled)")));
  EXPECT_THAT(mistakes("path.matches(process.exec_path)"),
              ElementsAre(HasSubstr("1:22: error: the pattern of matches must be written out")));
  EXPECT_THAT(mistakes("flags.matches('a')"), ElementsAre(HasSubstr("works on a string, not on a "
                                                                    "int")));
  EXPECT_THAT(mistakes("path.matches()"), ElementsAre(HasSubstr("matches takes a pattern")));
}

TEST(Extended, PatternsOfAProgramAreLimited) {
  const auto with = [](int count) {
    RuleSet set;
    set.ruleset_id = "s";
    set.language = RuleLanguage::kExtended;
    for (int i = 0; i < count; ++i) {
      Rule rule;
      rule.rule_id = "r" + std::to_string(i);
      rule.event_type = EventType::kFileOpen;
      // Each is there twice: it is compiled once.
      rule.condition = {"path.matches('a" + std::to_string(i / 2) + "')", "t", 1, 1, {}};
      set.rules.push_back(rule);
    }
    return compile({set});
  };
  EXPECT_NE(with(2000).program, nullptr);
  const CompileResult many = with(2002);
  EXPECT_EQ(many.program, nullptr);
  ASSERT_THAT(many.diagnostics, SizeIs(1));
  EXPECT_THAT(many.diagnostics[0].format(), HasSubstr("more than 1000 different regular expr"));
}

TEST(Extended, Size) {
  EXPECT_TRUE(fires("size(path) == 14 && path.size() == 14", kOpen)) << "code points, no bytes";
  EXPECT_TRUE(fires("size(process.argv) == 3", kOpen));
  EXPECT_TRUE(fires("process.ancestors.size() == 3", kOpen));
  EXPECT_TRUE(fires("process.ancestors.exists(p, p.descendants.size() == 2)", kOpen));
  EXPECT_TRUE(fires("process.ancestors.exists(p, p.argv.size() == 3)", kOpen));
  EXPECT_TRUE(fires("size(list.tools) == 3 && size(list.none) == 0", kOpen)) << "with repeats";
  EXPECT_TRUE(fires("size([]) == 0 && size(['a', 'a']) == 2 && size([1, 'x']) == 2", kOpen));
  EXPECT_TRUE(fires("size('\\x80') == 1 && size('') == 0", kOpen));
  const test::Event broken = test::open("a\xff\xfe", kChain);
  EXPECT_TRUE(fires("size(path) == 3", broken)) << "each byte that is no UTF-8";
  EXPECT_THAT(mistakes("size(flags) == 1"), ElementsAre(HasSubstr("this is a int")));
  EXPECT_THAT(mistakes("size(process) == 1"), ElementsAre(HasSubstr("this is a process")));
  EXPECT_THAT(mistakes("size() == 1"), ElementsAre(HasSubstr("size takes one text or list")));
}

TEST(Extended, AllAndExistsOne) {
  EXPECT_TRUE(fires("process.argv.all(a, a.size() > 1)", kOpen));
  EXPECT_FALSE(fires("process.argv.all(a, a != '-s')", kOpen));
  EXPECT_TRUE(fires("list.none.all(x, false) && [].all(x, x == 1)", kOpen));
  EXPECT_TRUE(fires("process.ancestors.all(p, p.exec_path != path)", kOpen));
  EXPECT_TRUE(fires("process.argv.exists_one(a, a == '-s')", kOpen));
  EXPECT_FALSE(fires("process.argv.exists_one(a, a != '-s')", kOpen)) << "two are";
  EXPECT_FALSE(fires("process.argv.exists_one(a, a == 'none')", kOpen));
  EXPECT_TRUE(fires("list.tools.exists_one(t, t.endsWith('wget'))", kOpen));
  EXPECT_FALSE(fires("list.tools.exists_one(t, t == '/usr/bin/curl')", kOpen))
      << "it is there twice when case does not count";
  EXPECT_TRUE(fires("process.ancestors.exists_one(p, p.exec_path.startsWith('/usr'))", kOpen));
  EXPECT_TRUE(fires("[1, 2, 3].exists_one(x, x == 2) && ![1, 1].exists_one(x, x == 1)", kOpen));
  EXPECT_THAT(mistakes("process.argv.all(a)"), ElementsAre(HasSubstr("all is written list.all(")));
  EXPECT_THAT(mistakes("all(a)"), ElementsAre(HasSubstr("all is written list.all(x, cond")));
}

TEST(Extended, In) {
  EXPECT_TRUE(fires("process.exec_path in list.tools", kOpen));
  EXPECT_TRUE(fires("path in ['/x', '/home/\xc3\xa9/.npmrc']", kOpen));
  EXPECT_TRUE(fires("'-S' in process.argv", kOpen));
  EXPECT_FALSE(fires("'-x' in process.argv || path in list.none || path in []", kOpen));
  EXPECT_TRUE(fires("process.ancestors.exists(p, '-c' in p.argv)", kOpen));
  EXPECT_TRUE(fires("flags in [1, 0] && !(flags in [1, 2])", kOpen));
  EXPECT_TRUE(fires("path in [process.exec_path, path]", kOpen));
  EXPECT_THAT(mistakes("path in path"), ElementsAre(HasSubstr("in looks into a list of strings")));
  EXPECT_THAT(mistakes("flags in list.tools"), ElementsAre(HasSubstr("a int cannot be in a list")));
  EXPECT_THAT(mistakes("flags in ['a', path]"), ElementsAre(HasSubstr("a int cannot be compared")));
  // In a portable set it is what it is elsewhere, and the author is told.
  const std::vector<std::string> told = mistakes("path in list.tools", RuleLanguage::kPortable);
  EXPECT_THAT(told, ElementsAre(HasSubstr("t:1:6: warning: in belongs to the extended language")));
}

TEST(Extended, UserAndFolderOfProcesses) {
  const ProcessRef root = process_of("/bin/bash", 0, "/");
  const ProcessRef user = process_of("/bin/cat", 1000, "/Build", root);
  test::Event event(EventType::kFileOpen, user);
  event.text(field::file_open::kPath, "/x");
  EXPECT_TRUE(fires("process.uid == 1000 && process.cwd == '/build'", event));
  EXPECT_TRUE(fires("process.ancestors.exists(p, p.uid == 0 && p.cwd == '/')", event));
  EXPECT_TRUE(fires("process.uid >= 1000 && process.cwd.startsWith('/')", event));
  EXPECT_FALSE(fires("process.uid == 0 || process.uid < 0", event));
  EXPECT_THAT(mistakes("process.pid == 0"),
              ElementsAre(HasSubstr("it has: exec_path, argv, ancestors, uid, cwd")));
}

TEST(Extended, AnswersOnUsersAreNotThoseOfTheProgram) {
  // Two processes of one program (one image) and different users; then the first one again.
  const ProcessRef first = process_of("/bin/su", 0, "/");
  auto second = std::make_shared<Process>(*first);
  second->uid = 7;
  const ProcessRef below_first = process_of("/bin/cat", 5, "/", first);
  auto below_second = std::make_shared<Process>(*below_first);
  below_second->parent = second;
  const CompileResult compiled =
      compile_one("process.ancestors.exists(p, p.uid == 7 && p.exec_path.contains('su'))",
                  EventType::kFileOpen);
  ASSERT_NE(compiled.program, nullptr);
  const auto evaluator = make_evaluator(compiled.program);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(evaluator->evaluate(test::Event(EventType::kFileOpen, below_first).record()),
                IsEmpty());
    EXPECT_THAT(evaluator->evaluate(test::Event(EventType::kFileOpen, below_second).record()),
                SizeIs(1));
  }
}

TEST(Extended, StepOfTheJob) {
  test::Event event = test::open("/x", kChain);
  EXPECT_TRUE(fires("step.id == '' && step.name == ''", event)) << "none is known";
  const CompileResult compiled =
      compile_one("step.name.contains('publish') && step.id != ''", EventType::kFileOpen);
  ASSERT_NE(compiled.program, nullptr);
  const auto evaluator = make_evaluator(compiled.program);
  // One process, two steps: nothing of the answer is kept.
  for (int i = 0; i < 2; ++i) {
    event.step(std::make_shared<Step>(Step{"build", "Build"}));
    EXPECT_THAT(evaluator->evaluate(event.record()), IsEmpty());
    event.step(std::make_shared<Step>(Step{"ship", "Publish it"}));
    EXPECT_THAT(evaluator->evaluate(event.record()), SizeIs(1));
  }
  EXPECT_THAT(mistakes("step.number == 1"), ElementsAre(HasSubstr("it has: id, name")));
  EXPECT_THAT(mistakes("step == 1"), ElementsAre(HasSubstr("a step cannot be compared")));
}

TEST(Extended, DomainOfAConnect) {
  test::Event event = test::connect("10.0.0.1", 443, kChain);
  EXPECT_TRUE(fires("domain == ''", event)) << "not known";
  event.text(field::network_connect::kDomain, "Evil.Example");
  EXPECT_TRUE(fires("domain.endsWith('.example') && domain == 'evil.example'", event));
  EXPECT_THAT(mistakes("domain_source == ''", RuleLanguage::kExtended, EventType::kNetworkConnect),
              ElementsAre(HasSubstr("written to logs only; rules on network_connect have: "
                                    "remote_ip, remote_port, protocol, family, domain, process, "
                                    "list, step")));
}

TEST(Extended, ThePortableLanguageSaysHowToGetIt) {
  for (const char* condition :
       {"path.matches('a')", "matches(path, 'a')", "size(path) == 1", "path.size() == 1",
        "process.argv.all(a, true)", "process.argv.exists_one(a, true)", "process.uid == 0",
        "process.cwd == ''", "process.ancestors.exists(p, p.uid == 0)", "step.name == ''",
        "step.id == ''"}) {
    EXPECT_THAT(mistakes(condition, RuleLanguage::kPortable),
                ElementsAre(HasSubstr("is not allowed in portable event rules; write \"language: "
                                      "extended\" into the rule set")))
        << condition;
    EXPECT_THAT(mistakes(condition), IsEmpty()) << condition;
  }
  EXPECT_THAT(mistakes("domain == ''", RuleLanguage::kPortable, EventType::kNetworkConnect),
              ElementsAre(HasSubstr("field domain of network_connect is not allowed in portable")));
  for (const char* condition : {"within('1s', true)", "sequence(a, b)"}) {
    EXPECT_THAT(mistakes(condition), ElementsAre(HasSubstr("it stands in a correlation")));
  }
}

TEST(Extended, ModifiersSpeakTheLanguageOfTheSetTheyChange) {
  const auto compile_with = [](const std::string& language) {
    const LoadedRules loaded = load_rules_from_text(
        "rule_sets: [{ruleset_id: s, language: " + language +
            ", rules: [{rule_id: r, event_type: file_open, condition: is_read, action: detect}]}]\n"
            "---\nrule_modifiers: [{modifier_id: m, targets: [{ruleset_id: s}], add_exceptions: "
            "process.uid == 0}]\n",
        "t.yaml");
    CompileOptions options;
    options.modifiers = loaded.rule_modifiers;
    return compile(loaded.rule_sets, options).diagnostics;
  };
  EXPECT_THAT(compile_with("extended"), IsEmpty());
  const std::vector<Diagnostic> portable = compile_with("~");
  ASSERT_THAT(portable, SizeIs(1));
  EXPECT_THAT(portable[0].format(), HasSubstr("t.yaml:3:87: error: uid of a process is not"));
}

TEST(Values, ConversionsComparisonsAndChoices) {
  const test::Event event = test::connect("10.0.0.1", 443, {{"/x", {"443", "x", "4.5"}}});
  for (const char* condition :
       {"string(remote_port) == '443'",
        "int('443') == remote_port",
        "remote_port == 443u",
        "remote_port == 443.0",
        "remote_port < 443.5 && remote_port > 442.9",
        "443u == 443.0",
        "process.argv.exists(a, a == string(remote_port))",
        "process.argv.exists(a, int(a) == remote_port)",
        "double('4.5') > 4.0",
        "bool('T')",
        "duration('1h') == duration('60m') && duration('1.5s') < duration('2s')",
        "string(duration('90s')) == '90s'",
        "type(remote_port) == int && type(remote_ip) == string",
        "type(1.0) != type(1) && type([]) == type(['a'])",
        "-remote_port == -443",
        "(remote_port == 443 ? 'https' : 'other') == 'https'",
        "(remote_port > 1000 ? false : remote_port == 443)",
        "(remote_port == 80 ? 'a' : remote_ip).startsWith('10.')",
        "['10.0.0.1', '::1'].exists(i, i == remote_ip)",
        "[80, 443].exists(p, p == remote_port)",
        "[1, 'a', 443].exists(x, x == remote_port)",
        "dyn(remote_port) == 443",
        "dyn(remote_port) != 'a'",
        "process.argv == ['443', 'X', '4.5']",
        "process.argv != ['443']",
        "['a', 'b'] == ['A', 'b']",
        "[1, 2.0] == [1u, 2]",
        "inIpRange(string(remote_ip), '10.0.0.0/8')",
        "false < true",
        "process.argv.exists(remote_ip, remote_ip == 'x' && .remote_ip == '10.0.0.1')",
        "0x1BBu == uint(remote_port) && remote_port == 4.43e2"}) {
    EXPECT_TRUE(fires_portable(condition, event)) << condition;
    EXPECT_FALSE(fires_portable("!(" + std::string(condition) + ")", event)) << condition;
  }
}

TEST(Values, AnErrorIsNeitherTrueNorFalse) {
  const test::Event event = test::open("/x", kChain);
  for (const char* error :
       {"int(path) == 1", "int('9223372036854775808') > 0", "uint(-1) == 0u", "bool(path)",
        "duration('soon') > duration('1s')", "double('a') < 1.0", "dyn(1) < 'a'",
        "-int('-9223372036854775808') < 0", "int(1e99) > 0", "(bool(path) ? 'a' : 'b') == 'a'",
        "process.argv.exists(a, int(a) == 1)", "string(int(path)) == ''",
        "string(int(path)).startsWith('')", "['a', string(int(path))].exists(x, x == 'a')",
        "type(int(path)) == int", "inIpRange(string(int(path)), '::/0')",
        "bool(path) == bool(path)"}) {
    EXPECT_FALSE(fires_portable(error, event)) << error;
    EXPECT_FALSE(fires_portable("!(" + std::string(error) + ")", event)) << error;
    EXPECT_TRUE(fires_portable(std::string(error) + " || is_read", event)) << error;
    EXPECT_TRUE(fires_portable("!(is_write && " + std::string(error) + ")", event)) << error;
    // What cannot be told keeps a rule from firing in an exception too.
    EXPECT_FALSE(fires("is_read", event, error)) << error;
  }
  EXPECT_TRUE(fires_portable("process.argv.exists(a, a == '-s' || int(a) == 1)", event));
  EXPECT_FALSE(fires("process.argv.all(a, int(a) == 1)", event));
  EXPECT_FALSE(fires("!process.argv.exists_one(a, a == '-s' || int(a) == 1)", event));
}

TEST(Values, Mistakes) {
  const auto of = [](const std::string& condition) {
    return mistakes(condition, RuleLanguage::kPortable);
  };
  EXPECT_THAT(of("flags == '1'"),
              ElementsAre(HasSubstr("1:7: error: a int cannot be compared with a string; int()")));
  EXPECT_THAT(of("(is_read ? 1 : 'a') == 1"), ElementsAre(HasSubstr("both sides of the : must")));
  EXPECT_THAT(of("(flags ? 1 : 2) == 1"), ElementsAre(HasSubstr("the part before ? needs true")));
  EXPECT_THAT(of("(is_read ? process.argv : list.none).exists(a, true)"),
              ElementsAre(HasSubstr("not between two of a list of strings")));
  EXPECT_THAT(of("-path == 1"), ElementsAre(HasSubstr("a minus sign stands before an int")));
  EXPECT_THAT(of("-1u == 1"), ElementsAre(HasSubstr("a minus sign stands before an int")));
  EXPECT_THAT(of("int(is_read) == 1"), ElementsAre(HasSubstr("a bool cannot be converted with")));
  EXPECT_THAT(of("int() == 1"), ElementsAre(HasSubstr("int() takes one value")));
  EXPECT_THAT(of("int(process) == 1"), ElementsAre(HasSubstr("a process cannot be converted")));
  EXPECT_THAT(of("type(1) < type(2)"), ElementsAre(HasSubstr("types have no order")));
  EXPECT_THAT(of("[1] < [2]"), ElementsAre(HasSubstr("lists have no order")));
  EXPECT_THAT(of("[process].exists(p, true)"), ElementsAre(HasSubstr("cannot be put into a list")));
  EXPECT_THAT(of("process.argv == [path]"), ElementsAre(HasSubstr("lists of strings can")));
  EXPECT_THAT(of("[1, 2, 3].exists(x, x == path)"), SizeIs(1)) << "told once";
  EXPECT_THAT(of("[].exists(x, nope)"), ElementsAre(HasSubstr("unknown name nope")));
  EXPECT_THAT(of("1e999 > 0"), ElementsAre(HasSubstr("does not fit into 64 bits")));
  EXPECT_THAT(of("'a'.in == 1"), ElementsAre(HasSubstr("expected a name after the dot")));
  EXPECT_THAT(of("process.for == 1"), ElementsAre(HasSubstr("process has no for")));
  EXPECT_THAT(of("[1, == 2"), ElementsAre(HasSubstr("expected a value")));
}

TEST(Values, HostileConditionsEnd) {
  // Lists inside lists, choices inside choices, names bound to names: all that could double.
  std::string lists = "true";
  for (int i = 0; i < 6; ++i) {
    lists = "[1,2,3,4,5,6,7,8,9,10].exists(x" + std::to_string(i) + ", " + lists + ")";
  }
  EXPECT_THAT(mistakes(lists), testing::Contains(HasSubstr("too large (100000 parts)")));
  const auto expect_too_large = [](const std::string& condition) {
    EXPECT_THAT(mistakes(condition), ElementsAre(HasSubstr("make this condition too large")));
  };
  // A question is asked twice, whether it is true and whether it is false.
  std::string choices = "bool(a)";
  for (int i = 0; i < 60; ++i) choices = "((" + choices + ") ? bool(a) : is_read)";
  expect_too_large("process.argv.exists(a, " + choices + ")");
  std::string bools = "b39 == is_write", texts = "t39 == path";
  for (int i = 39; i > 0; --i) {
    const std::string before = std::to_string(i - 1), now = std::to_string(i);
    bools = "[b" + before + " == b" + before + "].exists(b" + now + ", " + bools + ")";
    texts = "[(is_read ? t" + before + " : t" + before + ")].exists(t" + now + ", " + texts + ")";
  }
  expect_too_large("process.argv.exists(a, [a == path].exists(b0, " + bools + "))");
  const std::string linear = "process.argv.exists(a, [a].exists(t0, " + texts + "))";
  EXPECT_THAT(mistakes(linear), IsEmpty());
  EXPECT_FALSE(fires(linear, kOpen));
}

TEST(Cost, IsAdvisedOnWhenItIsHigh) {
  const std::string dear =
      "process.argv.exists(a, process.ancestors.exists(p, p.argv.exists(b, p.argv.exists(c, "
      "a + b == path))))";
  const auto replaced = [&](const std::string& inner) {
    std::string out = dear;
    return out.replace(out.find("a + b == path"), 13, inner);
  };
  EXPECT_THAT(mistakes(replaced("a == path || b == path || c == path")),
              ElementsAre(HasSubstr("t:1:14: warning: the condition costs about ")));
  EXPECT_THAT(mistakes(replaced("a == b || b == c || c == p.exec_path")), IsEmpty())
      << "of the process only: the answer is kept";
  EXPECT_THAT(mistakes("process.argv.exists(a, path.contains(a))"), IsEmpty());
}

}  // namespace
}  // namespace cicd
