// SPDX-License-Identifier: Apache-2.0
#include "run/pace.h"

#include <gtest/gtest.h>

#include <string>

namespace cicd {
namespace {

std::shared_ptr<const Program> program_with(const std::string& action, bool monitor_mode = false) {
  const std::string text =
      "rule_sets:\n"
      "  - ruleset_id: test/pace\n"
      "    rules:\n"
      "      - {rule_id: a, rule_name: A, description: d, event_type: process_exec,\n"
      "         condition: 'process.exec_path == \"/a\"', action: collect}\n"
      "      - {rule_id: b, rule_name: B, description: d, event_type: process_exec,\n"
      "         condition: 'process.exec_path == \"/b\"', action: " +
      action + "}\n";
  CompileOptions options;
  options.monitor_mode = monitor_mode;
  return compile(load_rules_from_text(text, "pace_test").rule_sets, options).program;
}

TEST(Pace, IsPromptOnlyWhenARuleMayEndTheJob) {
  ASSERT_NE(program_with("terminate"), nullptr);
  EXPECT_EQ(pace_of(program_with("terminate").get()), kPromptPace);
  EXPECT_EQ(pace_of(program_with("detect").get()), kRelaxedPace);
  EXPECT_EQ(pace_of(program_with("terminate", true).get()), kRelaxedPace) << "monitor mode";
  EXPECT_EQ(pace_of(nullptr), kRelaxedPace);
}

}  // namespace
}  // namespace cicd
