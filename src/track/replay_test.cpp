// SPDX-License-Identifier: Apache-2.0
// The same samples give the same records, live, from a recording, and from one that was continued
// after its writer was killed in the middle of a block.
#include <gtest/gtest.h>

#include <sstream>

#include "kernel/fake_source.h"
#include "kernel/recording_test_support.h"
#include "kernel/replay_source.h"
#include "track/tracker_test_support.h"

namespace cicd {
namespace {

std::vector<SampleBuffer> a_small_job() {
  const Actor child{.pid = 200, .start_time_ns = 5'000, .time_ns = 5'000};
  return {
      fork_sample(kShell.image(0), kSensor),
      exec_sample(kShell, {.exec_path = "/bin/sh", .argv = {"sh", "-c", "make"}}),
      fork_sample(child, kShell),
      open_sample(child.image(2), {.path = walked("/etc/ld.so.cache")}),  // before its exec
      exec_sample(child.image(2), {.exec_path = "/usr/bin/make"}),
      SampleBuffer(17),  // malformed
      connect_sample(child.image(2), {.remote_ip = "2001:db8::5"}),
      open_sample({.pid = 999}, {.path = walked("/unknown/process")}),
      exit_sample(child.image(2), 2 << 8),
  };
}

std::string text_of(TrackerBench& bench) {
  std::ostringstream out;
  for (const EventRecord& record : bench.records()) {
    out << info_of(record.type).name << ' ' << record.time_ns << ' ' << record.marks << ' '
        << record.process->pid << ' ' << record.process->id << ' ' << record.process->exec_path();
    for (std::size_t i = 0; i < info_of(record.type).fields.size(); ++i) {
      out << ' ' << record.fields[i].text() << ' ' << record.fields[i].number();
    }
    out << '\n';
  }
  for (const std::uint32_t slot : {0u, 1u}) {
    for (const LossEntry& loss : bench.tracker().losses(slot).entries) {
      out << loss.what << ' ' << loss.reason << ' ' << loss.count << '\n';
    }
  }
  return out.str();
}

std::string run(EventSource& source) {
  TrackerBench bench;
  while (!source.at_end()) {
    const auto count = source.poll(std::chrono::milliseconds(0), [&](SampleBytes bytes) {
      bench.send({bytes.begin(), bytes.end()});
    });
    if (!count) return count.error().text;
  }
  return text_of(bench);
}

std::string run_recording(const std::string& path) {
  auto source = ReplaySource::open(path);
  return source ? run(**source) : source.error().text;
}

TEST(Replay, GivesWhatTheLiveRunGave) {
  FakeSource live;
  for (const SampleBuffer& sample : a_small_job()) live.push(sample);
  live.finish();
  const std::string expected = run(live);
  EXPECT_NE(expected.find("process_exit 5500 0 200 "), std::string::npos) << expected;
  EXPECT_NE(expected.find("malformed 1"), std::string::npos) << expected;

  const TemporaryFile file;
  auto writer = RecordingWriter::create(file.path(), {.clock = {.realtime_offset_ns = 500}});
  ASSERT_TRUE(writer);
  for (const SampleBuffer& sample : a_small_job()) {
    writer->append(sample);
    ASSERT_TRUE(writer->end_block({}));
  }
  EXPECT_EQ(run_recording(file.path()), expected);
  EXPECT_EQ(run_recording(file.path()), expected);
}

TEST(Replay, ContinuesAfterTheWriterWasKilled) {
  const std::vector<SampleBuffer> job = a_small_job();
  const TemporaryFile whole;
  const TemporaryFile file;
  auto complete = RecordingWriter::create(whole.path(), {});
  auto writer = RecordingWriter::create(file.path(), {});
  ASSERT_TRUE(complete && writer);
  for (std::size_t i = 0; i < job.size(); ++i) {
    complete->append(job[i]);
    ASSERT_TRUE(complete->end_block({.control = i + 1, .bulk = 0}));
    if (i > 4) continue;
    writer->append(job[i]);
    ASSERT_TRUE(writer->end_block({.control = i + 1, .bulk = 0}));
  }
  file.truncate(writer->bytes_written() - 1);  // the last of its blocks is incomplete

  auto reader = RecordingReader::open(file.path());
  ASSERT_TRUE(reader);
  for (auto block = reader->next_block(); block && *block; block = reader->next_block()) {
  }
  ASSERT_EQ(reader->positions().control, 4u);
  auto next = RecordingWriter::resume(file.path(), reader->good_bytes());
  ASSERT_TRUE(next);
  for (std::size_t i = reader->positions().control; i < job.size(); ++i) {
    next->append(job[i]);
    ASSERT_TRUE(next->end_block({.control = i + 1, .bulk = 0}));
  }
  EXPECT_EQ(file.read(), whole.read());
  EXPECT_EQ(run_recording(file.path()), run_recording(whole.path()));
}

}  // namespace
}  // namespace cicd
