// SPDX-License-Identifier: Apache-2.0
// docs/reference/ci-platforms.md: its tables are those of the program.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "job/ci_platform.h"

namespace cicd {
namespace {

std::string code(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string list_of(std::span<const std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) out += (out.empty() ? "" : ", ") + code(name);
  return out;
}

std::string step_table() {
  std::string out =
      "| Platform | `provider` | Found by | `step.id` | `step.name` |\n|---|---|---|---|---|\n";
  for (const CiPlatform& platform : ci_platforms()) {
    const CiMark& mark = platform.mark;
    std::string found = mark.value == "*" ? "set" : code(mark.value);
    found = mark.variable.empty() ? "its arguments" : code(mark.variable) + ": " + found;
    out.append("| ").append(platform.title).append(" | ").append(code(platform.provider));
    out.append(" | ").append(found).append(" | ").append(list_of(platform.step_id));
    out.append(" | ").append(list_of(platform.step_name)).append(" |\n");
  }
  return out;
}

std::string job_table() {
  std::string out = "| Platform | Member | Variable |\n|---|---|---|\n";
  for (const CiPlatform& platform : ci_platforms()) {
    for (const CiField& field : platform.fields) {
      out.append("| ").append(platform.title).append(" | ").append(code(field.member));
      out.append(" | ").append(code(field.variable));
      if (!field.second.empty()) {
        out.append(", ").append(code(field.join)).append(", ").append(code(field.second));
      }
      if (!field.third.empty()) {
        out.append(", ").append(code(field.join_third)).append(", ").append(code(field.third));
      }
      out.append(" |\n");
    }
  }
  return out;
}

TEST(CiPlatformPage, InTheRepositoryHasTheTables) {
  std::ifstream file(CICD_SOURCE_DIR "/docs/reference/ci-platforms.md");
  ASSERT_TRUE(file) << "docs/reference/ci-platforms.md is missing";
  std::stringstream text;
  text << file.rdbuf() << "\n";
  for (const std::string& table : {step_table(), job_table()}) {
    EXPECT_NE(text.str().find("\n\n" + table + "\n"), std::string::npos)
        << "put this table there in place of the old one:\n"
        << table;
  }
}

}  // namespace
}  // namespace cicd
