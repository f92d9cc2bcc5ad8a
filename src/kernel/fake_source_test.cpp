// SPDX-License-Identifier: Apache-2.0
#include "kernel/fake_source.h"

#include <gtest/gtest.h>

#include "wire/sample_builder.h"

namespace cicd {
namespace {

constexpr std::chrono::milliseconds kNow{0};

TEST(FakeSource, HandsOutWhatWasPushed) {
  FakeSource source;
  source.push(exit_sample({.pid = 1}));
  source.push(exit_sample({.pid = 2}));
  std::vector<SampleBuffer> seen;
  const auto sink = [&](SampleBytes bytes) { seen.emplace_back(bytes.begin(), bytes.end()); };
  EXPECT_EQ(source.poll(kNow, sink).value(), 2u);
  EXPECT_EQ(seen, (std::vector<SampleBuffer>{exit_sample({.pid = 1}), exit_sample({.pid = 2})}));
  EXPECT_EQ(source.poll(kNow, sink).value(), 0u);
  EXPECT_EQ(source.polled(), 2u);
  EXPECT_EQ(source.committed(), 0u);
  source.commit();
  EXPECT_EQ(source.committed(), 2u);
}

TEST(FakeSource, ErrorComesAfterWhatIsQueuedAndOnce) {
  FakeSource source;
  source.push(exit_sample({}));
  source.push_error({ErrorCode::kIo, 0, "broken", {}});
  source.finish();
  const auto ignore = [](SampleBytes) {};
  EXPECT_TRUE(source.poll(kNow, ignore));
  EXPECT_FALSE(source.at_end());
  EXPECT_EQ(source.poll(kNow, ignore).error().text, "broken");
  EXPECT_TRUE(source.at_end());
  EXPECT_TRUE(source.poll(kNow, ignore));
}

TEST(FakeSource, LossesAndClockAsSet) {
  FakeSource source;
  source.set_clock({.realtime_offset_ns = 9});
  source.set_losses(2, {.entries = {{"file_open", "ring_full", 3}}});
  EXPECT_EQ(source.clock().realtime_offset_ns, 9);
  EXPECT_EQ(source.losses(2)->total(), 3u);
  EXPECT_EQ(source.losses(1)->total(), 0u);
}

}  // namespace
}  // namespace cicd
