// SPDX-License-Identifier: Apache-2.0
#include "config/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace cicd {
namespace {

using testing::HasSubstr;

void expect_fits(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) EXPECT_LE(line.size(), 80u) << line;
}

TEST(Help, NamesEveryFlagWithItsDefaultAndFitsTheScreen) {
  expect_fits(program_help(sensor_table()));
  for (const CommandSpec& command : sensor_table().commands) {
    const std::string text = command_help(sensor_table(), command);
    expect_fits(text);
    for (const FlagSpec& flag : command.flags) {
      EXPECT_THAT(text, HasSubstr("--" + std::string(flag.name)));
      EXPECT_THAT(text, HasSubstr(std::string(flag.standard)));
    }
    for (const NamedDoc& example : command.examples) {
      EXPECT_THAT(text, HasSubstr(std::string(example.name)));
    }
  }
}

TEST(Help, ReferencePageInTheRepositoryIsTheTables) {
  std::ifstream file(CICD_SOURCE_DIR "/docs/reference/cli.md");
  ASSERT_TRUE(file) << "docs/reference/cli.md is missing";
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), reference_page(sensor_table()))
      << "write it anew: cicd-sensor help --markdown > docs/reference/cli.md";
}

}  // namespace
}  // namespace cicd
