// SPDX-License-Identifier: Apache-2.0
// What an event costs with the baseline loaded, and what compiling costs. Events do not match any
// rule, as nearly all of a build do not.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "rule/baseline.h"
#include "rule/program.h"
#include "rule/test_events.h"

namespace {

using cicd::test::Event;
using Chain = std::vector<cicd::test::Program>;

// A compiler below make, with `ancestors` processes above it.
Chain compiler_below(std::int64_t ancestors) {
  Chain out = {{"/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
                {"cc1", "-quiet", "-imultiarch", "x86_64-linux-gnu", "main.c", "-o", "/tmp/a.s"}}};
  for (std::int64_t i = 0; i < ancestors; ++i) {
    out.push_back({"/usr/bin/make", {"make", "-C", "src" + std::to_string(i), "all"}});
  }
  return out;
}

cicd::CompileResult compiled_baseline() { return cicd::compile(cicd::baseline_rules().rule_sets); }

void evaluate(benchmark::State& state, const std::vector<Event>& events) {
  const auto evaluator = cicd::make_evaluator(compiled_baseline().program);
  std::size_t at = 0;
  std::size_t hits = 0;
  for (auto _ : state) {
    hits += evaluator->evaluate(events[at].record()).size();
    at = at + 1 < events.size() ? at + 1 : 0;
  }
  if (hits != 0) state.SkipWithError("an event of the benchmark matched a rule");
}

void BM_FileOpen(benchmark::State& state) {
  const Chain chain = compiler_below(state.range(0));
  std::vector<Event> events;
  const auto process = cicd::test::chain(chain);
  for (int i = 0; i < 64; ++i) {
    Event event(cicd::EventType::kFileOpen, process);
    event.text(cicd::field::file_open::kPath,
               "/usr/include/Linux/header" + std::to_string(i) + ".h");
    event.number(cicd::field::file_open::kIsRead, 1);
    events.push_back(event);
  }
  evaluate(state, events);
}
BENCHMARK(BM_FileOpen)->Arg(0)->Arg(5)->Arg(16)->Arg(64);

// 64 processes in turn, started by the same parent.
void BM_ProcessExec(benchmark::State& state) {
  const auto first = cicd::test::chain(compiler_below(state.range(0)));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    auto process = std::make_shared<cicd::Process>(*first);
    process->image = std::make_shared<cicd::ExecImage>(*first->image);
    events.emplace_back(cicd::EventType::kProcessExec, std::move(process));
  }
  evaluate(state, events);
}
BENCHMARK(BM_ProcessExec)->Arg(0)->Arg(5)->Arg(16)->Arg(64);

// Processes nobody has seen: the views of 5,000 processes are more than the cache holds, so every
// event builds them anew. The ancestors share their images, as those of a real build do not change.
void BM_ProcessExecUnseen(benchmark::State& state) {
  const auto parent = cicd::test::chain(compiler_below(state.range(0)))->parent;
  std::vector<Event> events;
  for (int i = 0; i < 5000; ++i) {
    auto process = std::make_shared<cicd::Process>();
    auto image = std::make_shared<cicd::ExecImage>();
    image->exec_path = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
    image->argv = {"cc1", "-quiet", "file" + std::to_string(i) + ".c", "-o", "/tmp/a.s"};
    process->image = std::move(image);
    process->parent = parent;
    events.emplace_back(cicd::EventType::kProcessExec, std::move(process));
  }
  evaluate(state, events);
}
BENCHMARK(BM_ProcessExecUnseen)->Arg(0)->Arg(5)->Arg(16)->Arg(64);

// What a field of an ordinary event holds, by its name.
std::string ordinary_text(std::string_view field, int i) {
  if (field == "error" || field == "result") return "";  // such events are for the logs only
  if (field.ends_with("path")) return "/home/Runner/work/app/build/part" + std::to_string(i) + ".o";
  if (field.ends_with("ip")) return "203.0.113." + std::to_string(i);
  if (field == "domain" || field == "host") return "host" + std::to_string(i) + ".packages.example";
  return "other" + std::to_string(i);
}

// An ordinary event of each type. A few types are rare enough for rules that want every one of
// them; the counter says so.
void BM_Event(benchmark::State& state, const cicd::EventTypeInfo& info) {
  const auto process = cicd::test::chain(compiler_below(5));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    Event& event = events.emplace_back(info.type, process);
    for (std::size_t at = 0; at < info.fields.size(); ++at) {
      const auto field = static_cast<std::uint8_t>(at);
      if (info.fields[at].type == cicd::FieldType::kString) {
        event.text(field, ordinary_text(info.fields[at].name, i));
      } else if (info.fields[at].name == "remote_port") {
        event.number(field, 443);
      }
    }
  }
  const auto evaluator = cicd::make_evaluator(compiled_baseline().program);
  std::size_t at = 0;
  std::size_t hits = 0;
  for (auto _ : state) {
    hits += evaluator->evaluate(events[at].record()).size();
    at = at + 1 < events.size() ? at + 1 : 0;
  }
  state.counters["hits"] = static_cast<double>(hits) / static_cast<double>(state.iterations());
}

const bool kEventsRegistered = [] {
  for (const cicd::EventTypeInfo& info : cicd::event_types()) {
    benchmark::RegisterBenchmark(("BM_Event/" + std::string(info.name)).c_str(), BM_Event, info);
  }
  return true;
}();

void BM_CompileBaseline(benchmark::State& state) {
  const auto sets = cicd::baseline_rules().rule_sets;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cicd::make_evaluator(cicd::compile(sets).program));
  }
}
BENCHMARK(BM_CompileBaseline)->Unit(benchmark::kMillisecond);

void BM_LoadBaseline(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(cicd::baseline_rules());
}
BENCHMARK(BM_LoadBaseline)->Unit(benchmark::kMillisecond);

}  // namespace
