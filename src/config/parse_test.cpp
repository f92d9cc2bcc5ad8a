// SPDX-License-Identifier: Apache-2.0
#include "config/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<CommandLine> parse(std::vector<std::string> args) {
  return parse_command_line(sensor_table(), args);
}

std::string error_of(std::vector<std::string> args) {
  const auto result = parse(std::move(args));
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_FALSE(result.error().hint.empty());
  EXPECT_EQ(result.error().text.find('\n'), std::string::npos);
  return result.error().text;
}

TEST(ParseCommandLine, GivesDefaults) {
  const auto line = parse({"run", "--", "true"});
  ASSERT_TRUE(line) << line.error().text;
  EXPECT_EQ(line->value("baseline"), "on");
  EXPECT_EQ(line->value("mode"), "observe");
  EXPECT_EQ(line->value("output"), "./cicd-sensor-out");
  EXPECT_EQ(line->value("report"), "terminal,json,html");
  EXPECT_EQ(line->value("fail-on"), "never");
  EXPECT_EQ(line->value("grace"), "2s");
  EXPECT_FALSE(line->has("quiet"));
  EXPECT_FALSE(line->has("record"));
  EXPECT_THAT(line->command_to_run, ElementsAre("true"));
}

TEST(ParseCommandLine, LeavesEverythingAfterTheFirstTwoDashesAlone) {
  const auto line = parse({"run", "--quiet", "--", "sh", "-c", "x", "--", "--rules", "--help", ""});
  ASSERT_TRUE(line) << line.error().text;
  EXPECT_TRUE(line->has("quiet"));
  EXPECT_FALSE(line->has("rules"));
  EXPECT_THAT(line->command_to_run, ElementsAre("sh", "-c", "x", "--", "--rules", "--help", ""));
}

TEST(ParseCommandLine, AcceptsEveryWayToWriteAFlag) {
  const auto line = parse({"run", "-grace=5s", "-output", "o", "--name=a b", "--rules", "x", "y",
                           "--rules", "z", "--output", "p", "--", "true"});
  ASSERT_TRUE(line) << line.error().text;
  EXPECT_EQ(line->value("grace"), "5s");
  EXPECT_EQ(line->value("output"), "p");
  EXPECT_EQ(line->value("name"), "a b");
  EXPECT_THAT(line->values.at("rules"), ElementsAre("x", "y", "z"));
}

TEST(ParseCommandLine, ValuesThatLookLikeFlagsOrBracketsStayWhole) {
  const auto line = parse({"run", "--name", "[a,b]", "--output=-o", "--", "true"});
  ASSERT_TRUE(line) << line.error().text;
  EXPECT_EQ(line->value("name"), "[a,b]");
  EXPECT_EQ(line->value("output"), "-o");
}

TEST(ParseCommandLine, SaysWhatIsWrong) {
  EXPECT_THAT(error_of({}), HasSubstr("no command given"));
  EXPECT_THAT(error_of({"rnu"}), HasSubstr("unknown command rnu"));
  EXPECT_THAT(error_of({"--rules"}), HasSubstr("unknown flag --rules"));
  EXPECT_THAT(error_of({"run", "--rulez", "x", "--", "true"}), HasSubstr("unknown flag --rulez"));
  EXPECT_THAT(error_of({"run", "-rulez=x", "--", "true"}), HasSubstr("unknown flag --rulez"));
  EXPECT_THAT(error_of({"run"}), HasSubstr("no command to run"));
  EXPECT_THAT(error_of({"run", "--"}), HasSubstr("no command to run"));
  EXPECT_THAT(error_of({"run", "make"}), HasSubstr("unexpected argument 'make'"));
  EXPECT_THAT(error_of({"run", "--baseline", "maybe", "--", "true"}), HasSubstr("'maybe'"));
  EXPECT_THAT(error_of({"run", "--output", "--", "true"}), HasSubstr("--output"));
  EXPECT_THAT(error_of({"run", "--output", "", "--", "true"}), HasSubstr("--output needs a value"));
  EXPECT_THAT(error_of({"run", "--quiet=maybe", "--", "true"}), HasSubstr("quiet"));
  EXPECT_THAT(error_of({"doctor", "--", "true"}), HasSubstr("takes no command"));
}

TEST(ParseCommandLine, TakesOneOperandWhereACommandHasOne) {
  EXPECT_EQ(parse({"replay", "job.rec", "--quiet"})->operand, "job.rec");
  EXPECT_EQ(parse({"replay", "--quiet", "job.rec"})->operand, "job.rec");
  EXPECT_THAT(error_of({"replay"}), HasSubstr("no FILE given"));
  EXPECT_THAT(error_of({"replay", ""}), HasSubstr("unexpected argument ''"));
  EXPECT_THAT(error_of({"replay", "a", "b"}), HasSubstr("unexpected argument 'b'"));
  EXPECT_THAT(error_of({"replay", "a", "--nope"}), HasSubstr("unknown flag --nope"));
}

TEST(ParseCommandLine, FindsHelpAndVersionAnywhereBeforeTheTwoDashes) {
  EXPECT_EQ(parse({"--help"})->wanted, CommandLine::Wanted::kHelp);
  EXPECT_EQ(parse({"--help"})->command, nullptr);
  EXPECT_EQ(parse({"run", "--nope", "-help"})->wanted, CommandLine::Wanted::kHelp);
  EXPECT_EQ(parse({"run", "--help"})->command->name, "run");
  EXPECT_EQ(parse({"help", "doctor"})->command->name, "doctor");
  EXPECT_EQ(parse({"--version"})->wanted, CommandLine::Wanted::kVersion);
  EXPECT_EQ(parse({"-v"})->wanted, CommandLine::Wanted::kVersion);
}

}  // namespace
}  // namespace cicd
