// SPDX-License-Identifier: Apache-2.0
#include "report/process_chain.h"

#include <gtest/gtest.h>

#include "report/terminal_text.h"
#include "support/records.h"

namespace cicd {
namespace {

using support::make_chain;
using support::make_process;

TEST(ProcessChain, OldestFirst) {
  EXPECT_EQ(process_chain(*make_chain(4), 80), "p0 -> p1 -> p2 -> p3");
  EXPECT_EQ(process_chain(*make_chain(1), 80), "p0");
}

TEST(ProcessChain, ForksOfOneProgramCountOnce) {
  const auto bash = make_process(1, "/bin/bash", {"bash"});
  auto fork = std::make_shared<Process>(*make_process(2, "", {}, bash));
  fork->image = bash->image;
  EXPECT_EQ(process_chain(*make_process(3, "/usr/bin/curl", {}, fork), 80), "bash -> curl");
}

TEST(ProcessChain, AScriptHasItsOwnName) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = "/usr/bin/python3";
  image->script_path = "/usr/bin/pip";
  auto pip = std::make_shared<Process>();
  pip->image = image;
  EXPECT_EQ(process_chain(*make_process(2, "/bin/sh", {}, pip), 80), "pip -> sh");
}

TEST(ProcessChain, LeavesOutTheMiddleWhenItIsTooLong) {
  EXPECT_EQ(process_chain(*make_chain(64), 40), "p0 -> ... -> p60 -> p61 -> p62 -> p63");
  for (int columns = 1; columns < 100; ++columns) {
    EXPECT_LE(display_width(process_chain(*make_chain(64), columns)), columns);
  }
}

TEST(ProcessChain, NamesAreEscapedAndShort) {
  const auto a = make_process(1, "/bin/\x1b[2J\n", {});
  EXPECT_EQ(process_chain(*make_process(2, "", {}, a), 80), "\\x1b[2J\\n -> (unknown)");
  const auto b = make_process(1, "/bin/" + std::string(300, 'x'), {});
  EXPECT_EQ(display_width(process_chain(*make_process(2, "/bin/y", {}, b), 80)), 24 + 4 + 1);
  EXPECT_EQ(program_name("/"), "/");
  EXPECT_EQ(program_name("plain"), "plain");
}

}  // namespace
}  // namespace cicd
