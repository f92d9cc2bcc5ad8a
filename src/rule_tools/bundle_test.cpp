// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace cicd {
namespace {

using testing::HasSubstr;

std::string set_text(const std::string& id, const std::string& more = "") {
  return "rule_sets:\n- ruleset_id: " + id +
         "\n  rules:\n  - {rule_id: r, event_type: file_open, condition: is_read, action: detect" +
         more + "}\n";
}

class MakeBundle : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bundle_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    std::filesystem::create_directory(folder_ + "/in");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/in/" + name, std::ios::binary) << text;
  }
  Result<Bundle> make(std::size_t max_bytes = kMaxRuleFileBytes) {
    return make_bundle(folder_ + "/in", max_bytes);
  }
  std::string read(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }

  std::string folder_;
};

TEST_F(MakeBundle, HoldsTheFilesAsTheyAreInTheOrderOfTheirNames) {
  put("b.yaml", "# comment of b\n" + set_text("b"));
  put("a.yml", "---\n" + set_text("a") + "---\n" + set_text("a2"));
  put("c.yaml",
      "\xef\xbb\xbfrule_modifiers:\n- {modifier_id: m, targets: [{ruleset_id: a}], "
      "disable: true}");
  put("d.yaml", "# nothing but a comment\n");
  put("e.txt", "no rules");
  const auto bundle = make();
  ASSERT_TRUE(bundle) << bundle.error().text;
  EXPECT_EQ(bundle->files, 4u);
  EXPECT_EQ(bundle->findings.rule_sets, 3u);
  EXPECT_THAT(bundle->text, HasSubstr("---\n# b.yaml\n# comment of b\nrule_sets:"));
  const LoadedRules loaded = load_rules_from_text(bundle->text, "bundle", {.strict = true});
  EXPECT_TRUE(loaded.diagnostics.empty());
  ASSERT_EQ(loaded.rule_sets.size(), 3u);
  EXPECT_EQ(loaded.rule_sets[0].ruleset_id, "a");
  EXPECT_EQ(loaded.rule_sets[1].ruleset_id, "a2");
  EXPECT_EQ(loaded.rule_sets[2].ruleset_id, "b");
  EXPECT_EQ(loaded.rule_modifiers.size(), 1u);
  // The revision of its sets is that of the bundle.
  for (const RuleSet& set : loaded.rule_sets) EXPECT_EQ(set.revision, bundle->revision);
  EXPECT_EQ(make()->text, bundle->text);
}

TEST_F(MakeBundle, ATextAtTheEndOfAFileStaysWhole) {
  put("a.yaml",
      "rule_sets:\n- ruleset_id: a\n  rules:\n  - rule_id: r\n    event_type: mount\n"
      "    action: detect\n    condition: |\n      source_path == \"x\"");  // no newline
  put("b.yaml", set_text("b"));
  ASSERT_TRUE(make()) << make().error().text;
}

TEST_F(MakeBundle, OfTwoSetsWithOneIdTheFirstStaysTheFirst) {
  put("a.yaml", set_text("same", ", max_alerts: 1"));
  put("b.yaml", set_text("same", ", max_alerts: 2"));
  const auto bundle = make();
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->findings.warnings, 1u);
  EXPECT_EQ(load_rules_from_text(bundle->text, "x").rule_sets[0].rules[0].max_alerts, 1);
}

TEST_F(MakeBundle, WrongRulesMakeNone) {
  put("a.yaml", set_text("a", ", condition: is_read"));
  put("b.yaml",
      "rule_sets: [{ruleset_id: b, rules: [{rule_id: r, event_type: file_open, "
      "condition: nope, action: detect}]}]\n");
  const auto bundle = make();
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->findings.errors, 2u);
  EXPECT_TRUE(bundle->text.empty());
}

TEST_F(MakeBundle, DirectivesAreRefused) {
  put("a.yaml", set_text("a"));
  put("b.yaml", "%YAML 1.2\n---\n" + set_text("b"));
  ASSERT_FALSE(make());
  EXPECT_THAT(make().error().text, HasSubstr("b.yaml: a line begins with %"));
}

TEST_F(MakeBundle, TheLimitIsToldWithNumbers) {
  put("a.yaml", set_text("a"));
  put("b.yaml", set_text("b") + std::string(2000, '#') + "\n");
  EXPECT_THAT(make(1000).error().text,
              testing::MatchesRegex("the bundle would have 2,[0-9]+ bytes, a rule file has at most "
                                    "1,000; the largest: b.yaml 2,[0-9]+, a.yaml [0-9]+"));
  const std::size_t bytes = make()->text.size();
  EXPECT_TRUE(make(bytes));
  EXPECT_FALSE(make(bytes - 1));
}

TEST_F(MakeBundle, DirectoriesWithoutRulesAreErrors) {
  EXPECT_THAT(make().error().text, HasSubstr("has no .yaml or .yml file"));
  EXPECT_THAT(make_bundle(folder_ + "/none").error().text, HasSubstr("cannot read the directory"));
}

TEST_F(MakeBundle, FilesAreWrittenWholeOrNotAtAll) {
  const std::string path = folder_ + "/out.yaml";
  ASSERT_TRUE(write_whole_file(path, "one\n"));
  EXPECT_EQ(read(path), "one\n");
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(status.st_mode & 07777, 0666 & ~mask);
  ASSERT_TRUE(write_whole_file(path, "two\n"));
  EXPECT_EQ(read(path), "two\n");
  // A directory in its place stays, and no draft is left.
  std::filesystem::create_directory(folder_ + "/taken");
  EXPECT_FALSE(write_whole_file(folder_ + "/taken", "x"));
  EXPECT_FALSE(write_whole_file(folder_ + "/none/out.yaml", "x"));
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    (void)entry;
    ++entries;
  }
  EXPECT_EQ(entries, 3u);  // in, out.yaml, taken
}

}  // namespace
}  // namespace cicd
