// SPDX-License-Identifier: Apache-2.0
#include "kernel/replay_source.h"

#include <gtest/gtest.h>

#include "kernel/recording_test_support.h"
#include "wire/sample_builder.h"

namespace cicd {
namespace {

TEST(ReplaySource, GivesTheRecordedSamplesInOrder) {
  const TemporaryFile file;
  const std::vector<SampleBuffer> samples = {exec_sample({}, {}), exit_sample({})};
  auto writer = RecordingWriter::create(file.path(), {.clock = {.realtime_offset_ns = -5}});
  ASSERT_TRUE(writer) << writer.error().text;
  writer->append(samples[0]);
  ASSERT_TRUE(writer->end_block({.control = 1, .bulk = 2}));
  writer->append(samples[1]);
  ASSERT_TRUE(writer->end_block({.control = 3, .bulk = 4}));

  auto source = ReplaySource::open(file.path());
  ASSERT_TRUE(source) << source.error().text;
  EXPECT_EQ((*source)->clock().realtime_offset_ns, -5);
  std::vector<SampleBuffer> seen;
  while (!(*source)->at_end()) {
    auto count = (*source)->poll(std::chrono::milliseconds(0), [&](SampleBytes bytes) {
      seen.emplace_back(bytes.begin(), bytes.end());
    });
    ASSERT_TRUE(count) << count.error().text;
  }
  EXPECT_EQ(seen, samples);
  EXPECT_EQ((*source)->positions().bulk, 4u);
  EXPECT_EQ((*source)->good_bytes(), writer->bytes_written());
}

TEST(ReplaySource, DamagedEndIsAnErrorAfterTheGoodPart) {
  const TemporaryFile file;
  auto writer = RecordingWriter::create(file.path(), {});
  ASSERT_TRUE(writer);
  writer->append(exec_sample({}, {}));
  ASSERT_TRUE(writer->end_block({}));
  const std::uint64_t good = writer->bytes_written();
  writer->append(exit_sample({}));
  ASSERT_TRUE(writer->end_block({}));
  file.truncate(writer->bytes_written() - 3);

  auto source = ReplaySource::open(file.path());
  ASSERT_TRUE(source);
  std::size_t seen = 0;
  const auto count = [&](SampleBytes) { ++seen; };
  ASSERT_TRUE((*source)->poll(std::chrono::milliseconds(0), count));
  EXPECT_EQ(seen, 1u);
  const auto damaged = (*source)->poll(std::chrono::milliseconds(0), count);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kInvalidInput);
  EXPECT_NE(damaged.error().text.find("offset " + std::to_string(good)), std::string::npos)
      << damaged.error().text;
  EXPECT_EQ(seen, 1u);
  EXPECT_TRUE((*source)->at_end());
}

TEST(ReplaySource, CoverageSaysReplay) {
  const TemporaryFile file;
  ASSERT_TRUE(RecordingWriter::create(file.path(), {}));
  auto source = ReplaySource::open(file.path());
  ASSERT_TRUE(source);
  ASSERT_EQ((*source)->coverage().size(), kEventTypeCount);
  EXPECT_EQ((*source)->coverage()[0].backend, "replay");
}

}  // namespace
}  // namespace cicd
