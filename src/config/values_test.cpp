// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

using std::chrono::milliseconds;

TEST(ParseDuration, ReadsEveryUnitAndSums) {
  EXPECT_EQ(parse_duration("0").value(), milliseconds(0));
  EXPECT_EQ(parse_duration("0s").value(), milliseconds(0));
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("2s").value(), milliseconds(2000));
  EXPECT_EQ(parse_duration("1.5s").value(), milliseconds(1500));
  EXPECT_EQ(parse_duration("1m30s").value(), milliseconds(90'000));
  EXPECT_EQ(parse_duration("24h").value(), std::chrono::hours(24));
}

TEST(ParseDuration, RefusesWhatIsNone) {
  for (const char* text : {"", "2", "-1s", "s", "2 s", "2x", "1e9s", "inf", "nan", "nans", "24h1ms",
                           "99999999999999999999h", "1s,", "0x10s", "2s "}) {
    const auto result = parse_duration(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kUsage);
    EXPECT_FALSE(result.error().hint.empty());
  }
}

TEST(ParseList, TakesNamesOnceAndRefusesOthers) {
  EXPECT_EQ(parse_list("json,terminal,json", "terminal|json").value(),
            (std::vector<std::string>{"json", "terminal"}));
  for (const char* text : {"", ",", "json,", "jso", "json,,terminal", "terminal|json"}) {
    EXPECT_FALSE(parse_list(text, "terminal|json")) << text;
  }
}

}  // namespace
}  // namespace cicd
