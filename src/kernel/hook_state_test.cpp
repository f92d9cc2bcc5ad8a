// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_state.h"

#include <gtest/gtest.h>

namespace cicd {

namespace {

TEST(HookState, ComesBackAsItWas) {
  HookState state;
  state.identity = "0123 \"x\"";
  state.realtime_offset_ns = -5;
  state.backends = {"tp_btf", "none"};
  state.errors = {{"open_called", "line one\nline \xff two"}};
  state.absent = {"unix_connect"};
  state.trampoline_error = "EPERM";
  const auto read = parse_hook_state(to_text(state));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->identity, state.identity);
  EXPECT_EQ(read->realtime_offset_ns, -5);
  EXPECT_EQ(read->backends, state.backends);
  EXPECT_EQ(read->errors.at("open_called"), "line one\nline \xef\xbf\xbd two");
  EXPECT_EQ(read->absent, state.absent);
  EXPECT_EQ(read->trampoline_error, "EPERM");
}

TEST(HookState, WhatIsNoStateIsNone) {
  for (const char* text : {"", "{", "[]", "{}", R"({"identity":1})", "null"}) {
    EXPECT_FALSE(parse_hook_state(text)) << text;
  }
}

}  // namespace

}  // namespace cicd
