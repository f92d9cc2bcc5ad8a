// SPDX-License-Identifier: Apache-2.0
// What a row costs: rendering alone, with the process cached and not, and with write(2) to a file.
// `bytes_per_second` is what comes out.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "evidence/file_sink.h"
#include "evidence/row_writer.h"
#include "job/sensitive_files.h"
#include "support/records.h"

namespace {

using cicd::EventRecord;
using cicd::support::make_chain;

cicd::RowOptions row_options() {
  cicd::RowOptions options;
  options.identity.provider = "generic";
  options.identity.provider_host = "local";
  options.identity.project_path = "acme/demo";
  options.scope = "project";
  options.runner_type = "machine";
  return options;
}

constexpr const char* kHeader = "/usr/lib/gcc/x86_64-linux-gnu/12/include/stddef.h";

// Argument 0: ancestors. One process, so it is rendered once.
void row_with_cached_process(benchmark::State& state) {
  cicd::RowWriter writer(row_options());
  const EventRecord record =
      cicd::support::make_open(make_chain(static_cast<int>(state.range(0)) + 1), kHeader);
  std::string out;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    out.clear();
    writer.append_event(out, record);
    bytes += static_cast<std::int64_t>(out.size());
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(row_with_cached_process)->Arg(0)->Arg(4)->Arg(16);

// Two processes that share a place in the cache: each row renders its process.
void row_with_new_process(benchmark::State& state) {
  cicd::RowWriter writer(row_options());
  const int ancestors = static_cast<int>(state.range(0));
  std::vector<EventRecord> records;
  for (std::uint64_t first : {1'024ull, 2'048ull, 4'096ull, 8'192ull}) {
    const auto process = make_chain(ancestors + 1, first - static_cast<std::uint64_t>(ancestors));
    records.push_back(cicd::support::make_open(process, kHeader));
  }
  std::string out;
  std::size_t next = 0;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    out.clear();
    writer.append_event(out, records[next++ % records.size()]);
    bytes += static_cast<std::int64_t>(out.size());
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(row_with_new_process)->Arg(0)->Arg(4)->Arg(16);

// As in a job: into a file, flushed every 256 KiB. The file is made anew now and then so that it
// does not fill the disk.
void row_into_file(benchmark::State& state) {
  std::string directory =
      (std::filesystem::temp_directory_path() / "cicd-json-bench-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) return state.SkipWithError("no temporary directory");
  cicd::FileSinkOptions options;
  options.directory = directory;
  auto sink = cicd::make_file_sink(options);
  if (!sink) return state.SkipWithError(sink.error().text.c_str());
  const EventRecord record = cicd::support::make_open(make_chain(5), kHeader);
  std::uint64_t rows = 0;
  for (auto _ : state) {
    (*sink)->on_event(record);
    if (++rows % 200'000 == 0) {
      state.PauseTiming();
      sink = cicd::make_file_sink(options);
      state.ResumeTiming();
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(row_into_file);

void classify_path(benchmark::State& state) {
  constexpr const char* kPaths[] = {kHeader, "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                    "/home/u/project/.git/config", "/home/u/.npmrc"};
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(cicd::sensitive_kind(kPaths[next++ % 4]));
}
BENCHMARK(classify_path);

}  // namespace
