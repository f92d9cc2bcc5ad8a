// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/test_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kHead =
    "rules: [baseline, ../my.yaml]\n"
    "chains: {step: [sh, bash], all: [cat, step]}\n"  // before the processes it names
    "processes:\n"
    "  cat: {exec_path: /usr/bin/cat, argv: [cat, \"1\"], cwd: /w, uid: 7}\n"
    "  sh: {exec_path: /usr/bin/dash}\n"
    "  bash: {exec_path: /usr/bin/bash, argv: [bash]}\n";

std::unique_ptr<TestFile> good(const std::string& tests) {
  auto file = read_test_text(kHead + tests, "dir/tests/t.yaml");
  for (const Diagnostic& diagnostic : file->diagnostics) ADD_FAILURE() << diagnostic.format();
  return file;
}

// The diagnostics of a file with these tests, without the file's name.
std::vector<std::string> mistakes(const std::string& tests) {
  std::vector<std::string> out;
  const auto file = read_test_text(kHead + tests, "t");
  for (const Diagnostic& diagnostic : file->diagnostics) {
    out.push_back(diagnostic.format().substr(2));
  }
  return out;
}

std::vector<std::string> chain_of(const TestEvent& event) {
  std::vector<std::string> out;
  for (const Process* at = event.record.process.get(); at != nullptr; at = at->parent.get()) {
    out.push_back(at->exec_path());
  }
  return out;
}

TEST(TestFile, ReadsRulesFromTheFolderOfTheFile) {
  const auto file = good("tests: [{event: {process_exec: , process: cat}, expect: []}]\n");
  EXPECT_THAT(file->rules, ElementsAre("baseline", "dir/my.yaml"));
  EXPECT_EQ(read_test_text("rules: /etc/x.yaml", "t")->rules[0], "/etc/x.yaml");
}

TEST(TestFile, ReadsCasesOfARule) {
  const auto file = good(
      "process: all\n"
      "tests:\n"
      "- rule: r\n"
      "  fires:\n"
      "  - file_open: {path: /a, is_read: true, flags: 0x10}\n"
      "  - job:\n"
      "    - {process_exec: , process: [cat, {exec_path: /x, argv: [x]}]}\n"
      "    - {network_connect: {remote_ip: 10.0.0.1, remote_port: 443}, times: 3}\n"
      "    - {process_exec: , time: 1m30s, step: {id: __run, name: build}}\n"
      "    - {process_exec: }\n"
      "  quiet: [{file_open: {path: \"true\"}, process: step}]\n");
  ASSERT_THAT(file->tests, SizeIs(1));
  const RuleTest& test = file->tests[0];
  EXPECT_EQ(test.rule->name, "r");
  EXPECT_EQ(test.rule->place.line, 9);
  ASSERT_THAT(test.cases, SizeIs(3));
  EXPECT_EQ(test.cases[0].wants, TestCase::Wants::kFires);
  const TestEvent& open = test.cases[0].events[0];
  EXPECT_EQ(open.record.type, EventType::kFileOpen);
  EXPECT_EQ(open.record.text(field::file_open::kPath), "/a");
  EXPECT_EQ(open.record.number(field::file_open::kIsRead), 1);
  EXPECT_EQ(open.record.number(field::file_open::kIsWrite), 0);
  EXPECT_EQ(open.record.number(field::file_open::kFlags), 16);
  EXPECT_THAT(chain_of(open), ElementsAre("/usr/bin/cat", "/usr/bin/dash", "/usr/bin/bash"));
  EXPECT_EQ(open.record.process->uid, 7u);
  EXPECT_EQ(open.record.process->image->cwd, "/w");
  EXPECT_THAT(open.record.process->image->argv, ElementsAre("cat", "1"));
  EXPECT_EQ(open.record.process->depth, 2);
  const auto& job = test.cases[1].events;
  ASSERT_THAT(job, SizeIs(4));
  EXPECT_THAT(chain_of(job[0]), ElementsAre("/usr/bin/cat", "/x"));
  EXPECT_EQ(job[1].times, 3u);
  EXPECT_EQ(job[1].record.step, nullptr);
  EXPECT_EQ(job[1].record.time_ns, 0u);
  ASSERT_TRUE(job[2].record.step);
  EXPECT_EQ(job[2].record.step->id, "__run");
  EXPECT_EQ(job[2].record.step->name, "build");
  EXPECT_EQ(job[2].record.time_ns, 90'000'000'000u);
  EXPECT_EQ(job[3].record.time_ns, 90'000'000'000u);
  EXPECT_EQ(test.cases[2].wants, TestCase::Wants::kQuiet);
  EXPECT_EQ(test.cases[2].events[0].record.text(field::file_open::kPath), "true");
  // Chains with one end are processes with one parent.
  EXPECT_EQ(test.cases[2].events[0].record.process, open.record.process->parent);
}

TEST(TestFile, ReadsExactResults) {
  const auto file = good(
      "project: {provider_host: github.com, path: o/r}\n"
      "tests:\n"
      "- {name: one, event: {process_exec: {is_memfd: true}}, process: cat, expect: [a, s/b]}\n"
      "- {events: [{process_exec: , process: cat}, {process_exec: , process: sh}], expect: []}\n");
  EXPECT_EQ(file->project->project_path, "o/r");
  ASSERT_THAT(file->tests, SizeIs(2));
  EXPECT_EQ(file->tests[0].name, "one");
  ASSERT_THAT(file->tests[0].cases, SizeIs(1));
  EXPECT_THAT(file->tests[0].cases[0].expected, SizeIs(2));
  EXPECT_EQ(file->tests[0].cases[0].expected[1].name, "s/b");
  EXPECT_THAT(file->tests[1].cases[0].events, SizeIs(2));
}

TEST(TestFile, EveryFieldOfEveryEventTypeCanBeGiven) {
  for (const EventTypeInfo& info : event_types()) {
    std::string fields;
    for (const FieldInfo& field : info.fields) {
      fields += (fields.empty() ? "" : ", ") + std::string(field.name) + ": " +
                (field.type == FieldType::kBool ? "true" : "7");
    }
    const auto file = good("process: cat\ntests: [{event: {" + std::string(info.name) + ": {" +
                           fields + "}}, expect: []}]\n");
    const EventRecord& record = file->tests[0].cases[0].events[0].record;
    EXPECT_EQ(record.type, info.type);
    const auto count = static_cast<std::uint8_t>(info.fields.size());
    for (std::uint8_t i = 0; i < count; ++i) {
      const FieldType type = info.fields[i].type;
      if (type == FieldType::kString) {
        EXPECT_EQ(record.text(i), "7") << info.name;
      } else {
        EXPECT_EQ(record.number(i), type == FieldType::kBool ? 1 : 7) << info.name;
      }
    }
  }
}

struct Mistake {
  const char* tests;
  const char* text;  // the beginning of the only diagnostic, place included
};

TEST(TestFile, EachMistakeHasItsPlace) {
  for (const Mistake& one : std::initializer_list<Mistake>{
           {"tests: [{event: {file_open: {pth: x}, process: cat}, expect: []}]",
            "7:30: error: unknown field \"pth\"; file_open has: path, is_read, is_write, flags, "
            "error"},
           {"tests: [{event: {file_open: {is_read: \"true\"}, process: cat}, expect: []}]",
            "7:39: error: file_open.is_read must be true or false; here is \"true\""},
           {"tests: [{event: {file_open: {flags: 1.5}, process: cat}, expect: []}]",
            "7:37: error: file_open.flags must be a whole number of 64 bits"},
           {"tests: [{event: {file_open: {path: [x]}, process: cat}, expect: []}]",
            "7:36: error: file_open.path must be a text; here is a list"},
           {"tests: [{event: {file_opened: {}, process: cat}, expect: []}]",
            "7:18: error: unknown event type or key \"file_opened\""},
           {"tests: [{event: {process_exec: , mount: , process: cat}, expect: []}]",
            "7:34: error: an event has one type; this is the second"},
           {"tests: [{event: {process: cat}, expect: []}]", "7:17: error: the event has no type"},
           {"tests: [{event: {process_exec: }, expect: []}]",
            "7:17: error: the event has no process"},
           {"tests: [{event: {process_exec: , process: dog}, expect: []}]",
            "7:43: error: there is no process or chain \"dog\""},
           {"tests: [{event: {process_exec: , process: {argv: [x]}}, expect: []}]",
            "7:43: error: the process has no exec_path"},
           {"tests: [{event: {process_exec: , process: {exec: x}}, expect: []}]",
            "7:44: error: unknown key \"exec\"; known in a process: exec_path, argv, cwd, uid"},
           {"tests: [{event: {process_exec: , process: []}, expect: []}]",
            "7:43: error: the chain has no process"},
           {"tests: [{event: {process_exec: , process: cat, times: 10001}, expect: []}]",
            "7:55: error: times must be 1 to 10000; here is 10001"},
           {"tests: [{event: {process_exec: , process: cat, time: soon}, expect: []}]",
            "7:54: error: time must be how long after the start of the job"},
           {"tests: [{event: {process_exec: , process: cat, step: {title: x}}, expect: []}]",
            "7:55: error: unknown key \"title\"; known in a step: id, name"},
           {"tests: [{event: {process_exec: , process: cat, step: build}, expect: []}]",
            "7:54: error: step must be a map"},
           {"tests: [{event: {process_exec: , process: cat}}]", "7:9: error: a test needs `rule`"},
           {"tests: [{rule: r}]", "7:9: error: the test has no event in `fires` or `quiet`"},
           {"tests: [{rule: r, fires: [], expect: []}]", "7:9: error: a test has `rule` with"},
           {"tests: [{fires: []}]", "7:9: error: `fires` and `quiet` are about one rule"},
           {"tests: [{rule: r, fires: [{job: []}]}]", "7:27: error: the job has no events"},
           {"tests: [{rule: r, quite: []}]", "7:19: error: unknown key \"quite\"; known in a test"},
           {"tests: []", "error: no `tests`"},
           {"tests: {}", "7:8: error: tests must be a list; here is a map"},
           {"test: []", "7:1: error: unknown key \"test\"; known in a test file: rules, project"},
           {"tests: [{rule: r, rule: s}]", "7:19: error: key \"rule\" stands twice"},
           {"---\ntests: []", "8:1: error: a test file is one document"}}) {
    const auto found = mistakes(one.tests);
    ASSERT_THAT(found, testing::Not(IsEmpty())) << one.tests;
    EXPECT_THAT(found[0], HasSubstr(one.text)) << one.tests;
  }
  EXPECT_THAT(mistakes("processes: {cat: {exec_path: x}}")[0], HasSubstr("stands twice"));
}

TEST(TestFile, NamesAreTakenOnce) {
  const auto file = read_test_text(
      "processes: {a: {exec_path: /x}}\nchains: {a: [a]}\nrules: baseline\n"
      "tests: [{event: {process_exec: , process: a}, expect: []}]\n",
      "t");
  ASSERT_THAT(file->diagnostics, SizeIs(1));
  EXPECT_EQ(file->diagnostics[0].format(),
            "t:2:10: error: the name \"a\" is taken by a process or chain above");
}

TEST(TestFile, AChainIsNoLongerThanInTheSensor) {
  const auto test = [](int links) {
    std::string chain = "cat";
    for (int i = 1; i < links; ++i) chain += ", cat";
    return "tests: [{event: {process_exec: , process: [" + chain + "]}, expect: []}]";
  };
  EXPECT_THAT(mistakes(test(65)), IsEmpty());
  EXPECT_THAT(mistakes(test(66))[0], HasSubstr("at most 65"));
}

TEST(TestFile, EventsAreBounded) {
  std::string tests = "process: cat\ntests:\n- rule: r\n  fires:\n";
  for (int i = 0; i < 11; ++i) tests += "  - {process_exec: , times: 10000}\n";
  const auto found = mistakes(tests);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0], HasSubstr("more than 100000 events"));
}

TEST(TestFile, AliasesThatMultiplyEnd) {
  std::string tests = "a: &a {exec_path: /x, argv: [";
  for (int i = 0; i < 2000; ++i) tests += "x, ";
  tests += "]}\ntests:\n- rule: r\n  fires:\n";
  for (int i = 0; i < 2000; ++i) tests += "  - {process_exec: , process: *a}\n";
  EXPECT_THAT(mistakes(tests), testing::Contains(HasSubstr("aliases multiply")));
  // A map that holds itself.
  EXPECT_THAT(mistakes("tests: &t [{rule: r, fires: *t}]"), testing::Not(IsEmpty()));
}

TEST(TestFile, WhatIsNoTextIsAnError) {
  EXPECT_THAT(read_test_text("rules: \xff", "t")->diagnostics[0].format(),
              HasSubstr("t:1:8: error: this byte is not UTF-8"));
  EXPECT_THAT(read_test_text("", "t")->diagnostics[0].format(), HasSubstr("the file is empty"));
  EXPECT_THAT(read_test_text(std::string(5u << 20, ' '), "t")->diagnostics[0].format(),
              HasSubstr("larger than 4 MiB"));
  EXPECT_THAT(read_test_file("/nowhere/t.yaml")->diagnostics[0].format(),
              HasSubstr("/nowhere/t.yaml: error: cannot open: No such file"));
}

}  // namespace
}  // namespace cicd
