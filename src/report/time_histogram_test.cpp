// SPDX-License-Identifier: Apache-2.0
#include "report/time_histogram.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

std::uint64_t sum(const TimeHistogram& histogram, ReportLane lane) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < TimeHistogram::kSlices; ++i) total += histogram.count(lane, i);
  return total;
}

TEST(TimeHistogram, KeepsEveryEventHoweverLongItGets) {
  constexpr std::uint64_t kLastUs = std::uint64_t{9'999} * 9'999 * 1'000;
  TimeHistogram histogram;
  for (std::uint64_t i = 0; i < 10'000; ++i) histogram.add(ReportLane::kReads, i * i * 1'000);
  EXPECT_EQ(sum(histogram, ReportLane::kReads), 10'000u);
  EXPECT_GE(histogram.slice_us() * TimeHistogram::kSlices, kLastUs);
  EXPECT_LE(histogram.slice_us() * TimeHistogram::kSlices, kLastUs * 2);
  EXPECT_EQ(histogram.used_slices(), kLastUs / histogram.slice_us() + 1);
}

TEST(TimeHistogram, JoinedSlicesStayAtTheirTime) {
  TimeHistogram histogram;
  histogram.add(ReportLane::kNetwork, 1'000'000);
  histogram.add(ReportLane::kNetwork, 100'000'000);
  EXPECT_EQ(histogram.count(ReportLane::kNetwork, 1'000'000 / histogram.slice_us()), 1u);
  EXPECT_EQ(histogram.count(ReportLane::kNetwork, 100'000'000 / histogram.slice_us()), 1u);
}

TEST(TimeHistogram, LanesOfTypes) {
  EXPECT_EQ(lane_of(EventType::kFileOpen, false), ReportLane::kReads);
  EXPECT_EQ(lane_of(EventType::kFileOpen, true), ReportLane::kChanges);
  EXPECT_EQ(lane_of(EventType::kDomain, false), ReportLane::kNames);
  EXPECT_EQ(lane_of(EventType::kMemoryRead, false), ReportLane::kSystem);
}

}  // namespace
}  // namespace cicd
