// SPDX-License-Identifier: Apache-2.0
#include "base/time_format.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

TEST(Rfc3339, FractionHasNoneThreeSixOrNineDigits) {
  constexpr std::uint64_t kNoon = 1'795'348'800'000'000'000;
  EXPECT_EQ(format_rfc3339(kNoon), "2026-11-22T12:00:00Z");
  EXPECT_EQ(format_rfc3339(kNoon + 1'000'000), "2026-11-22T12:00:00.001Z");
  EXPECT_EQ(format_rfc3339(kNoon + 120'000'000), "2026-11-22T12:00:00.120Z");
  EXPECT_EQ(format_rfc3339(kNoon + 3'000), "2026-11-22T12:00:00.000003Z");
  EXPECT_EQ(format_rfc3339(kNoon + 999'999'999), "2026-11-22T12:00:00.999999999Z");
  EXPECT_EQ(format_rfc3339(kNoon + 10), "2026-11-22T12:00:00.000000010Z");
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00Z");
}

TEST(Rfc3339, RemembersTheSecondButNotTheWrongOne) {
  Rfc3339Formatter formatter;
  std::string out;
  for (std::uint64_t second : {100, 100, 101, 99, 100}) {
    out.clear();
    formatter.append(out, second * 1'000'000'000 + 500'000'000);
    EXPECT_EQ(out, format_rfc3339(second * 1'000'000'000 + 500'000'000));
    EXPECT_TRUE(out.ends_with(".500Z"));
  }
}

TEST(Rfc3339, LeapDayAndFarFuture) {
  EXPECT_EQ(format_rfc3339(1'709'164'800ull * 1'000'000'000), "2024-02-29T00:00:00Z");
  EXPECT_EQ(format_rfc3339(UINT64_MAX), "2554-07-21T23:34:33.709551615Z");
}

TEST(Rfc3339, IsReadBack) {
  for (const std::uint64_t time : {0ull, 1'500'000'000ull, 1'709'164'800'000'000'000ull,
                                   1'764'000'000'123'456'789ull, 1'764'000'000'120'000'000ull}) {
    EXPECT_EQ(parse_rfc3339(format_rfc3339(time)), time);
  }
  for (const char* text :
       {"", "x", "2026-11-27", "2026-11-27T10:00:00", "2026-11-27T10:00:00+01:00",
        "2026-13-01T10:00:00Z", "2026-02-30T10:00:00Z", "2026-11-27T24:00:00Z",
        "2026-11-27T10:-1:00Z", "1969-12-31T23:59:59Z", "9999-11-27T10:00:00Z",
        "2026-11-27T10:00:00Zx", "2026-11-27T10:00:00.5"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace cicd
