// SPDX-License-Identifier: Apache-2.0
// What a sample costs on the pipeline thread: decoding, tracking, making the record; and what
// recording it adds. One item is one sample.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "kernel/recording.h"
#include "track/tracker.h"
#include "wire/decode.h"
#include "wire/sample_builder.h"

namespace {

using namespace cicd;

// A batch goes to a job's worker about this often.
constexpr std::size_t kBatch = 4'096;

class Pipeline {
 public:
  Pipeline() : tracker_({}) {
    tracker_.register_job(1, 42, "/job");
    // As many processes as a large build has at once.
    for (std::uint32_t pid = 100; pid < 1'100; ++pid) {
      handle(fork_sample({.pid = pid}, {.pid = 1, .cgroup_id = 1}));
      handle(exec_sample({.pid = pid, .exec_id = 2}, {.exec_path = "/usr/bin/cc1"}));
    }
  }

  void handle(const SampleBuffer& sample) {
    tracker_.handle(sample, [this](std::uint32_t) { return &batch_; });
    if (batch_.records.size() >= kBatch) batch_.reset();
  }

 private:
  Tracker tracker_;
  EventBatch batch_;
};

void run(benchmark::State& state, const std::vector<SampleBuffer>& samples) {
  Pipeline pipeline;
  std::size_t next = 0;
  for (auto _ : state) {
    pipeline.handle(samples[next]);
    next = next + 1 < samples.size() ? next + 1 : 0;
  }
  state.SetItemsProcessed(state.iterations());
}

std::vector<SampleBuffer> opens() {
  std::vector<SampleBuffer> samples;
  for (std::uint32_t pid = 100; pid < 1'100; ++pid) {
    samples.push_back(open_sample(
        {.pid = pid, .exec_id = 2},
        {.path =
             walked("/usr/include/x86_64-linux-gnu/bits/types/struct_" + std::to_string(pid))}));
  }
  return samples;
}

void decode_open(benchmark::State& state) {
  const std::vector<SampleBuffer> samples = opens();
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode(samples[next]));
    next = next + 1 < samples.size() ? next + 1 : 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decode_open);

void track_open(benchmark::State& state) { run(state, opens()); }
BENCHMARK(track_open);

void track_failed_open(benchmark::State& state) {
  std::vector<SampleBuffer> samples;
  for (std::uint32_t pid = 100; pid < 1'100; ++pid) {
    samples.push_back(
        open_sample({.pid = pid, .exec_id = 2}, {.path = raw("../include/./bits/no-such-header.h"),
                                                 .base = walked("/home/runner/work/project/build"),
                                                 .error = ENOENT}));
  }
  run(state, samples);
}
BENCHMARK(track_failed_open);

void track_connect(benchmark::State& state) {
  std::vector<SampleBuffer> samples;
  for (std::uint32_t pid = 100; pid < 1'100; ++pid) {
    samples.push_back(connect_sample({.pid = pid, .exec_id = 2}, {.remote_ip = "203.0.113.77"}));
  }
  run(state, samples);
}
BENCHMARK(track_connect);

// One short-lived process: fork, exec with a compiler's arguments, exit. Three samples.
void track_process(benchmark::State& state) {
  Pipeline pipeline;
  const Actor parent{.pid = 100, .exec_id = 2};
  std::vector<std::string> argv(40, "-I/home/runner/work/project/include");
  std::uint64_t start = 1'000'000;
  for (auto _ : state) {
    state.PauseTiming();
    start += 1'000'000;
    const Actor child{.pid = 10'000 + static_cast<std::uint32_t>(start / 1'000'000 % 20'000),
                      .start_time_ns = start,
                      .exec_id = 3,
                      .time_ns = start};
    const SampleBuffer samples[] = {fork_sample(child.image(2), parent),
                                    exec_sample(child, {.exec_path = "/usr/bin/cc1", .argv = argv}),
                                    exit_sample(child)};
    state.ResumeTiming();
    for (const SampleBuffer& sample : samples) pipeline.handle(sample);
  }
  state.SetItemsProcessed(3 * state.iterations());
}
BENCHMARK(track_process);

void record_open(benchmark::State& state) {
  const std::vector<SampleBuffer> samples = opens();
  std::string path = "/tmp/cicd-track-bench-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  auto writer = RecordingWriter::create(path, {});
  ::unlink(path.c_str());
  if (!writer) {
    state.SkipWithError(writer.error().text.c_str());
    return;
  }
  std::size_t count = 0;
  for (auto _ : state) {
    writer->append(samples[count % samples.size()]);
    if (++count % kBatch != 0) continue;
    // The file does not grow for ever: only the cost of a block counts.
    if (!writer->end_block({})) state.SkipWithError("cannot write");
    if (writer->bytes_written() > 64'000'000) {
      state.PauseTiming();
      auto again = RecordingWriter::resume("/proc/self/fd/" + std::to_string(fd.get()), 4'096);
      if (again) writer = std::move(again);
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(record_open);

}  // namespace
