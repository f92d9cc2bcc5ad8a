// SPDX-License-Identifier: Apache-2.0
#include "run/run_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "run/outputs.h"
#include "run/progress.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<RunOptions> read(const std::vector<std::string>& args) {
  const auto line = parse_command_line(sensor_table(), args);
  if (!line) return std::unexpected(line.error());
  return read_run_options(*line);
}

TEST(RunOptions, TheProjectOfAPlatformIsTheNameUnlessOneIsGiven) {
  JobDescription job;
  job.identity.project_path = "octo/app";
  const auto name_of = [&](const std::vector<std::string>& args) {
    return read_run_options(*parse_command_line(sensor_table(), args), job)->name;
  };
  EXPECT_EQ(name_of({"run", "--", "make"}), "octo/app");
  EXPECT_EQ(name_of({"run", "--name", "web", "--", "make"}), "web");
}

TEST(RunOptions, Defaults) {
  const auto options = read({"run", "--", "make", "test"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_TRUE(options->has_baseline);
  EXPECT_TRUE(options->wants_terminal_report);
  EXPECT_TRUE(options->wants_summary_file);
  EXPECT_TRUE(options->wants_html_report);
  EXPECT_EQ(options->fail_on, FailOn::kNever);
  EXPECT_EQ(options->grace, std::chrono::seconds(2));
  EXPECT_EQ(options->output_dir, "./cicd-sensor-out");
  EXPECT_EQ(options->name, std::filesystem::current_path().filename().string());
  EXPECT_TRUE(options->record_path.empty());
  EXPECT_FALSE(options->is_quiet);
  EXPECT_FALSE(options->is_monitor_mode);
  EXPECT_FALSE(options->is_strict);
  EXPECT_FALSE(options->reports_repeats);
  EXPECT_THAT(options->command, ElementsAre("make", "test"));
}

TEST(RunOptions, ReadsEveryFlag) {
  const auto options = read({"run",       "--rules",        "a",        "b",          "--baseline",
                             "off",       "--report",       "json",     "--name",     "x/y",
                             "--fail-on", "terminate",      "--grace",  "1m",         "--quiet",
                             "--user",    "nobody",         "--record", "r",          "--output",
                             "o",         "--monitor-mode", "--strict", "--no-dedup", "--",
                             "true"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_THAT(options->rule_paths, ElementsAre("a", "b"));
  EXPECT_FALSE(options->has_baseline);
  EXPECT_FALSE(options->wants_terminal_report);
  EXPECT_TRUE(options->wants_summary_file);
  EXPECT_FALSE(options->wants_html_report);
  EXPECT_EQ(options->name, "x/y");
  EXPECT_EQ(options->fail_on, FailOn::kTerminate);
  EXPECT_EQ(options->grace, std::chrono::minutes(1));
  EXPECT_TRUE(options->is_quiet);
  EXPECT_TRUE(options->is_monitor_mode);
  EXPECT_TRUE(options->is_strict);
  EXPECT_TRUE(options->reports_repeats);
  EXPECT_EQ(options->user, "nobody");
  EXPECT_EQ(options->record_path, "r");
  EXPECT_EQ(options->output_dir, "o");
}

TEST(RunOptions, SaysWhichFlagIsWrong) {
  EXPECT_THAT(read({"run", "--grace", "x", "--", "true"}).error().text, HasSubstr("--grace"));
  EXPECT_THAT(read({"run", "--report", "x", "--", "true"}).error().text, HasSubstr("--report"));
}

TEST(HasStruck, CountsTheActionsThatWereNamed) {
  JobSummary summary;
  const auto add = [&](RuleAction action, std::uint64_t count) {
    DetectionSummary detection;
    detection.rule.rule.action = action;
    detection.count = count;
    summary.detections.push_back(detection);
  };
  add(RuleAction::kCollect, 3);
  add(RuleAction::kDetect, 0);
  EXPECT_FALSE(has_struck(summary, FailOn::kDetect));
  add(RuleAction::kDetect, 1);
  EXPECT_TRUE(has_struck(summary, FailOn::kDetect));
  EXPECT_FALSE(has_struck(summary, FailOn::kTerminate));
  add(RuleAction::kTerminate, 1);
  EXPECT_TRUE(has_struck(summary, FailOn::kTerminate));
  EXPECT_FALSE(has_struck(summary, FailOn::kNever));
}

TEST(ProgressText, GroupsDigitsAndKnowsOne) {
  EXPECT_EQ(progress_text({0, 0, 0}), "0 events, 0 detections, 0 lost");
  EXPECT_EQ(progress_text({1, 1, 1}), "1 event, 1 detection, 1 lost");
  EXPECT_EQ(progress_text({1'234'567, 999, 1'000}), "1,234,567 events, 999 detections, 1,000 lost");
}

}  // namespace
}  // namespace cicd
