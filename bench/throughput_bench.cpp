// SPDX-License-Identifier: Apache-2.0
// How many events one core takes from a recording through each part, each by itself and one after
// the other: bytes -> EventRecord (decode), -> hits of rules (evaluation), -> rows (JSON).
//
// The recording is made here: 1,000 compiler runs below one make, each with its fork, its exec with
// a compiler's arguments, 60 opens of headers, 15 of them in vain, a new object file and its exit,
// and now and then a connect. CICD_RECORDING=FILE takes what `run --record` kept instead.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "evidence/row_writer.h"
#include "job/observations.h"
#include "kernel/recording.h"
#include "rule/baseline.h"
#include "rule/program.h"
#include "track/tracker.h"
#include "wire/sample_builder.h"

namespace {

using namespace cicd;

constexpr std::uint32_t kProcesses = 1'000;
constexpr int kOpens = 60;
constexpr int kFailedOpens = 15;
constexpr std::uint32_t kConnectEvery = 50;
constexpr std::uint32_t kFirstPid = 1'000;
constexpr std::uint64_t kNsPerSample = 1'000;
constexpr std::size_t kBatch = 4'096;

struct Recording {
  std::uint32_t slot = 1;
  std::uint64_t root_cgroup_id = 42;
  std::vector<SampleBuffer> samples;
};

// The samples of one compiler run, in the order in which they happen.
void add_compiler(Recording& recording, std::uint32_t number, std::uint64_t& time_ns) {
  const Actor make{.pid = kFirstPid, .exec_id = 2};
  Actor compiler{.pid = kFirstPid + 1 + number, .start_time_ns = time_ns, .exec_id = 2};
  const auto add = [&](SampleBuffer sample) { recording.samples.push_back(std::move(sample)); };
  const auto now = [&] { return compiler.at(time_ns += kNsPerSample); };
  add(fork_sample(now(), make));
  compiler.exec_id = 3;
  std::vector<std::string> argv(14, "-I/home/runner/work/project/include/part");
  argv.front() = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
  argv.push_back("src/module_" + std::to_string(number) + ".c");
  add(exec_sample(now(),
                  {.exec_path = argv.front(), .cwd = "/home/runner/work/project", .argv = argv}));
  for (int i = 0; i < kOpens; ++i) {
    const std::string name = "header_" + std::to_string(i) + ".h";
    if (i < kFailedOpens) {
      add(open_sample(now(), {.path = raw("include/part/" + name),
                              .base = walked("/home/runner/work/project"),
                              .error = ENOENT}));
    }
    add(open_sample(now(), {.path = walked("/usr/include/x86_64-linux-gnu/sys/" + name)}));
  }
  if (number % kConnectEvery == 0) add(connect_sample(now(), {.remote_ip = "203.0.113.77"}));
  add(open_sample(
      now(), {.path = walked("/home/runner/work/project/out/module.o"), .flags = CICD_OPEN_WRITE}));
  add(exit_sample(now()));
}

Recording made_recording() {
  Recording recording;
  const Actor make{.pid = kFirstPid, .exec_id = 2};
  recording.samples.push_back(fork_sample(make.image(1), {.pid = 1, .cgroup_id = 1}));
  recording.samples.push_back(exec_sample(make, {.exec_path = "/usr/bin/make"}));
  std::uint64_t time_ns = 1'000'000;
  for (std::uint32_t i = 0; i < kProcesses; ++i) add_compiler(recording, i, time_ns);
  return recording;
}

Recording read_recording(const char* path) {
  Recording recording;
  auto reader = RecordingReader::open(path);
  if (!reader) {
    std::fprintf(stderr, "throughput_bench: %s\n", reader.error().text.c_str());
    std::exit(2);
  }
  recording.slot = reader->info().slot;
  recording.root_cgroup_id = reader->info().root_cgroup_id;
  for (;;) {
    const auto block = reader->next_block();
    if (!block || !*block) return recording;
    for (const SampleBytes sample : **block) {
      recording.samples.emplace_back(sample.begin(), sample.end());
    }
  }
}

const Recording& recording() {
  static const Recording the_recording = [] {
    const char* path = std::getenv("CICD_RECORDING");
    return path != nullptr ? read_recording(path) : made_recording();
  }();
  return the_recording;
}

// A tracker that knows nobody yet: a recording is of a job from its start.
std::unique_ptr<Tracker> new_tracker() {
  auto tracker = std::make_unique<Tracker>(ClockInfo{});
  tracker->register_job(recording().slot, recording().root_cgroup_id, "/job");
  return tracker;
}

// Ten rules of the baseline: of those over opens, programs, connections and names the first ones.
std::shared_ptr<const Program> ten_rules() {
  std::map<EventType, int> wanted = {{EventType::kFileOpen, 4},
                                     {EventType::kProcessExec, 3},
                                     {EventType::kNetworkConnect, 2},
                                     {EventType::kDomain, 1}};
  std::vector<RuleSet> sets = baseline_rules().rule_sets;
  for (RuleSet& set : sets) {
    std::erase_if(set.rules, [&](const Rule& rule) {
      return rule.is_correlation || rule.target || wanted[rule.event_type]-- <= 0;
    });
  }
  return compile(sets).program;
}

std::shared_ptr<const Program> all_rules() { return compile(baseline_rules().rule_sets).program; }

RowOptions row_options() {
  RowOptions options;
  options.identity.provider = "generic";
  options.identity.provider_host = "local";
  options.identity.project_path = "acme/demo";
  options.scope = "project";
  options.runner_type = "machine";
  return options;
}

// Hands every record of the recording, in batches as in a job, to `use`.
template <typename Use>
std::size_t track_all(Tracker& tracker, EventBatch& batch, const Use& use) {
  std::size_t count = 0;
  const auto flush = [&] {
    for (const EventRecord& record : batch.records) use(record);
    count += batch.records.size();
    batch.reset();
  };
  for (const SampleBuffer& sample : recording().samples) {
    tracker.handle(sample, [&](std::uint32_t) { return &batch; });
    if (batch.records.size() >= kBatch) flush();
  }
  flush();
  return count;
}

// One iteration is the whole recording; items are events.
template <typename Use>
void from_bytes(benchmark::State& state, const Use& use) {
  EventBatch batch;
  std::size_t events = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto tracker = new_tracker();
    state.ResumeTiming();
    events += track_all(*tracker, batch, use);
    state.PauseTiming();
    tracker.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(events));
}

// The same from records that are there already.
template <typename Use>
void from_records(benchmark::State& state, const Use& use) {
  EventBatch batch;
  const auto tracker = new_tracker();
  for (const SampleBuffer& sample : recording().samples) {
    tracker->handle(sample, [&](std::uint32_t) { return &batch; });
  }
  for (auto _ : state) {
    for (const EventRecord& record : batch.records) use(record);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch.records.size()));
}

void decode_to_record(benchmark::State& state) {
  from_bytes(state, [](const EventRecord& record) { benchmark::DoNotOptimize(&record); });
}
BENCHMARK(decode_to_record)->Unit(benchmark::kMillisecond);

void record_to_hits(benchmark::State& state, const std::shared_ptr<const Program>& program) {
  const auto evaluator = make_evaluator(program);
  from_records(state, [&](const EventRecord& record) {
    benchmark::DoNotOptimize(evaluator->evaluate(record).size());
  });
}
BENCHMARK_CAPTURE(record_to_hits, ten_rules, ten_rules())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(record_to_hits, baseline, all_rules())->Unit(benchmark::kMillisecond);

void record_to_observations(benchmark::State& state) {
  Observations observations;
  from_records(state, [&](const EventRecord& record) { observations.add(record); });
}
BENCHMARK(record_to_observations)->Unit(benchmark::kMillisecond);

void record_to_json(benchmark::State& state) {
  RowWriter writer(row_options());
  std::string out;
  std::int64_t bytes = 0;
  from_records(state, [&](const EventRecord& record) {
    out.clear();
    writer.append_event(out, record);
    bytes += static_cast<std::int64_t>(out.size());
  });
  state.SetBytesProcessed(bytes);
}
BENCHMARK(record_to_json)->Unit(benchmark::kMillisecond);

void decode_to_hits(benchmark::State& state, const std::shared_ptr<const Program>& program) {
  const auto evaluator = make_evaluator(program);
  from_bytes(state, [&](const EventRecord& record) {
    benchmark::DoNotOptimize(evaluator->evaluate(record).size());
  });
}
BENCHMARK_CAPTURE(decode_to_hits, ten_rules, ten_rules())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode_to_hits, baseline, all_rules())->Unit(benchmark::kMillisecond);

// All that a job's event goes through but the disk.
void decode_to_json(benchmark::State& state, const std::shared_ptr<const Program>& program) {
  const auto evaluator = make_evaluator(program);
  RowWriter writer(row_options());
  Observations observations;
  std::string out;
  from_bytes(state, [&](const EventRecord& record) {
    observations.add(record);
    if (out.size() > 256 * 1024) out.clear();
    writer.append_event(out, record);
    benchmark::DoNotOptimize(evaluator->evaluate(record).size());
  });
}
BENCHMARK_CAPTURE(decode_to_json, ten_rules, ten_rules())->Unit(benchmark::kMillisecond);

}  // namespace
