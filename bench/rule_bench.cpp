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
BENCHMARK(BM_ProcessExecUnseen)->Arg(5)->Arg(64);

void BM_NetworkConnect(benchmark::State& state) {
  evaluate(state, {cicd::test::connect("203.0.113.7", 443, compiler_below(state.range(0)))});
}
BENCHMARK(BM_NetworkConnect)->Arg(5);

// A name that nothing is known of: the lists of sites are asked for each.
void BM_Domain(benchmark::State& state) {
  const auto process = cicd::test::chain(compiler_below(state.range(0)));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    Event event(cicd::EventType::kDomain, process);
    event.text(cicd::field::domain::kDomain, "host" + std::to_string(i) + ".packages.example");
    event.text(cicd::field::domain::kQueryType, "A");
    events.push_back(event);
  }
  evaluate(state, events);
}
BENCHMARK(BM_Domain)->Arg(5);

void BM_CompileBaseline(benchmark::State& state) {
  const auto sets = cicd::baseline_rules().rule_sets;
  for (auto _ : state) benchmark::DoNotOptimize(cicd::compile(sets));
}
BENCHMARK(BM_CompileBaseline)->Unit(benchmark::kMillisecond);

void BM_LoadBaseline(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(cicd::baseline_rules());
}
BENCHMARK(BM_LoadBaseline)->Unit(benchmark::kMillisecond);

}  // namespace
