// SPDX-License-Identifier: Apache-2.0
#include "egress/violation_merger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "support/records.h"

namespace cicd {
namespace {

using support::kNoonNs;
using testing::ElementsAre;

constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct Fixture {
  void add(const ProcessRef& process, std::string_view host, std::uint64_t time_ns,
           std::uint64_t count = 1) {
    EventRecord record = support::make_record(EventType::kDomain, process);
    record.time_ns = time_ns;
    // A text that is gone when the merger tells it later.
    std::string text(host);
    Violation violation;
    violation.record = &record;
    violation.host = text;
    violation.protocol = "dns";
    violation.count = count;
    violation.bytes = 10 * count;
    merger.add(violation, [&](const Violation& told) { tell(told); });
    text.assign(text.size(), '#');
  }
  void take_due(std::uint64_t now_ns) {
    merger.take_due(now_ns, [&](const Violation& told) { tell(told); });
  }
  void tell(const Violation& told) {
    rows.push_back(std::string(told.host) + " " + std::to_string(told.record->process->pid) + " x" +
                   std::to_string(told.count));
    sums[std::string(told.host) + std::to_string(told.record->process->pid)] += told.count;
    bytes += told.bytes;
  }
  ViolationMerger merger;
  std::vector<std::string> rows;
  std::map<std::string, std::uint64_t> sums;
  std::uint64_t bytes = 0;
};

TEST(ViolationMerger, TheFirstAtOnceRepeatsLaterWithACount) {
  Fixture f;
  const ProcessRef process = support::make_process(1, "/bin/curl", {"curl"});
  for (int i = 0; i < 5; ++i) f.add(process, "a.test", kNoonNs + static_cast<std::uint64_t>(i));
  EXPECT_THAT(f.rows, ElementsAre("a.test 1001 x1"));
  f.take_due(kNoonNs + kSecondNs);
  EXPECT_EQ(f.rows.size(), 1u) << "the window is not over";
  f.take_due(kNoonNs + kMergeWindowNs);
  EXPECT_THAT(f.rows, ElementsAre("a.test 1001 x1", "a.test 1001 x4"));
  f.add(process, "a.test", kNoonNs + 3 * kMergeWindowNs, 7);
  EXPECT_EQ(f.rows.back(), "a.test 1001 x7");
  f.take_due(UINT64_MAX);
  EXPECT_EQ(f.rows.size(), 3u) << "nothing is pending";
  EXPECT_EQ(f.bytes, 120u);
}

TEST(ViolationMerger, AnotherProcessOrNameIsNoRepeat) {
  Fixture f;
  const ProcessRef a = support::make_process(1, "/bin/a", {});
  const ProcessRef b = support::make_process(2, "/bin/b", {});
  f.add(a, "a.test", kNoonNs);
  f.add(b, "a.test", kNoonNs);
  f.add(a, "b.test", kNoonNs);
  EXPECT_THAT(f.rows, ElementsAre("a.test 1001 x1", "a.test 1002 x1", "b.test 1001 x1"));
}

TEST(ViolationMerger, SumsAreExactWhenThereAreMoreThanItHolds) {
  Fixture f;
  std::mt19937 random(7);
  std::map<std::string, std::uint64_t> expected;
  std::vector<ProcessRef> processes;
  for (std::uint64_t i = 0; i < 3; ++i) processes.push_back(support::make_process(i, "/bin/x", {}));
  std::uint64_t now_ns = kNoonNs;
  for (int i = 0; i < 50'000; ++i) {
    const ProcessRef& process = processes[random() % processes.size()];
    // Some names often, most of them seldom.
    const auto name = random() % 2 == 0 ? random() % 20 : random() % 2'000;
    const std::string host = "n" + std::to_string(name) + ".test";
    const std::uint64_t count = 1 + random() % 3;
    now_ns += random() % 50'000'000;
    f.add(process, host, now_ns, count);
    expected[host + std::to_string(process->pid)] += count;
    if (i % 100 == 0) f.take_due(now_ns);
  }
  f.take_due(UINT64_MAX);
  EXPECT_EQ(f.sums, expected);
  EXPECT_LT(f.rows.size(), 45'000u) << "nothing was merged";
}

}  // namespace
}  // namespace cicd
