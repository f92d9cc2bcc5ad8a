// SPDX-License-Identifier: Apache-2.0
// The HTML report of a large job: what an event costs as it goes by, and what the page costs at the
// end. The job: compilers that open headers, each path of it in twenty of a hundred opens for the
// first time; `distinct` opens nothing twice.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include "report/html_report.h"
#include "support/records.h"

namespace {

using namespace cicd;

constexpr std::size_t kEvents = 200'000;

struct Job {
  std::vector<std::string> paths;
  std::vector<EventRecord> records;

  explicit Job(std::size_t distinct_percent) {
    const std::size_t distinct = kEvents * distinct_percent / 100;
    paths.reserve(distinct);
    for (std::size_t i = 0; i < distinct; ++i) {
      paths.push_back("/usr/include/x86_64-linux-gnu/component" + std::to_string(i / 60) +
                      "/detail/header_" + std::to_string(i) + ".h");
    }
    const auto make = support::make_process(1, "/usr/bin/make", {"make", "-j8"});
    ProcessRef process;
    for (std::size_t i = 0; i < kEvents; ++i) {
      const std::uint64_t id = i / 100 + 2;
      if (!process || process->id != id) {
        process = support::make_process(
            id, "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
            {"cc1", "-quiet", "-O2", "main" + std::to_string(id) + ".c"}, make);
      }
      records.push_back(support::make_open(process, paths[i * 7919 % distinct], i % 50 == 0));
      records.back().time_ns += i * 50'000;
    }
  }
};

void add_events(benchmark::State& state) {
  const Job job(static_cast<std::size_t>(state.range(0)));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::size_t before = ::mallinfo2().uordblks;
    ReportModel model;
    for (const EventRecord& record : job.records) model.add_event(record);
    bytes = ::mallinfo2().uordblks - before;
    benchmark::DoNotOptimize(model.events().size());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kEvents));
  state.counters["model_MB"] = static_cast<double>(bytes) / 1e6;
}
BENCHMARK(add_events)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);

void write_page(benchmark::State& state) {
  const Job job(static_cast<std::size_t>(state.range(0)));
  ReportModel model;
  for (const EventRecord& record : job.records) model.add_event(record);
  JobSummary summary;
  summary.events_total = kEvents;
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    write_html_report(model, summary, [&](std::string_view piece) { bytes += piece.size(); });
  }
  state.counters["page_MB"] = static_cast<double>(bytes) / 1e6;
  state.counters["events"] = static_cast<double>(model.events().size());
}
BENCHMARK(write_page)->Arg(20)->Arg(100)->Unit(benchmark::kMillisecond);

}  // namespace
