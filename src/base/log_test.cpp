// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

TEST(Log, IsOneObjectALine) {
  EXPECT_EQ(log_line(LogLevel::kWarn, "agent", "job_refused",
                     {{"reason", "a \"quote\"\nand a new line"}, {"pid", "7"}},
                     1'700'000'000'123'000'000, "id"),
            R"({"time":"2023-11-14T22:13:20.123Z","level":"WARN","msg":"job_refused",)"
            R"("component":"agent","reason":"a \"quote\"\nand a new line","pid":"7",)"
            R"("log_id":"id"})"
            "\n");
}

TEST(Log, WhatIsBelowTheLevelIsNotWritten) {
  testing::internal::CaptureStderr();
  const Log log("agent");
  log.debug("unseen");
  log.info("seen");
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_EQ(out.find("unseen"), std::string::npos);
  EXPECT_NE(out.find("\"msg\":\"seen\""), std::string::npos);
  EXPECT_EQ(out.back(), '\n');
}

}  // namespace
}  // namespace cicd
