// SPDX-License-Identifier: Apache-2.0
// A rule test file: events, and which rules they must fire. Format: docs/rules.md, "Rule tests".
//
// Threads: one. Lifetime: events point into the TestFile; it must not move once read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rule/program.h"
#include "rule_tools/test_event.h"

namespace cicd {

// The name of a rule as it was written.
struct RuleReference {
  std::string name;
  SourcePlace place;
};

// One job: its events in order, and what is wanted of them.
struct TestCase {
  enum class Wants {
    kFires,    // the rule of the test fires, others may
    kQuiet,    // the rule of the test does not, others may
    kExactly,  // the rules of `expected` fire and no other
  };
  Wants wants = Wants::kExactly;
  std::vector<RuleReference> expected;
  std::vector<TestEvent> events;
  SourcePlace place;
};

struct RuleTest {
  std::string name;                   // empty: the rule says it
  std::optional<RuleReference> rule;  // nothing: a test of exact results, with one case
  std::vector<TestCase> cases;
  SourcePlace place;
};

struct TestFile {
  std::string path;
  std::vector<std::string> rules;  // paths as load_named_rules() takes them
  std::optional<RuleScope> project;
  std::vector<RuleTest> tests;
  EventTexts texts;
  std::vector<Diagnostic> diagnostics;
};

// Most events of a file, repeats counted.
inline constexpr std::uint64_t kMaxTestEvents = 100'000;

// Never fails otherwise than by diagnostics.
std::unique_ptr<TestFile> read_test_file(const std::string& path);
// The same from text; rule paths are taken from the folder of `path`.
std::unique_ptr<TestFile> read_test_text(const std::string& text, const std::string& path);

// Test files as a command names them: files, and the YAML files directly in directories.
std::vector<std::string> find_test_files(const std::vector<std::string>& paths,
                                         std::vector<Diagnostic>& diagnostics);

}  // namespace cicd
