// SPDX-License-Identifier: Apache-2.0
// What an event costs with 10 to 10,000 rules of the shapes people write, none of which match, and
// what it takes to compile them.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "rule/program.h"
#include "rule/test_events.h"

namespace {

using cicd::EventType;
using cicd::test::Event;
using Chain = std::vector<cicd::test::Program>;

constexpr int kRulesPerList = 50;

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

// Ten shapes in turn; `n` makes the literals of each rule its own, as those of real rules are.
std::pair<EventType, std::string> rule_of(int i, const std::string& list) {
  const std::string n = std::to_string(i);
  switch (i % 10) {
    case 0:
      return {EventType::kFileOpen,
              "path.endsWith(" + quoted("/.vault" + n + "/credentials") +
                  ") && process.ancestors.exists(p, p.exec_path.endsWith(\"/npm\"))"};
    case 1:
      return {EventType::kFileOpen,
              "path.startsWith(" + quoted("/opt/vendor" + n + "/") + ") && is_write"};
    case 2:
      return {EventType::kFileOpen, "(path == " + quoted("/etc/app" + n + "/config.yaml") +
                                        " || path == " + quoted("/etc/app" + n + ".conf") +
                                        ") && !process.exec_path.endsWith(\"/dpkg\")"};
    case 3:
      return {EventType::kFileOpen,
              "is_read && path.contains(" + quoted("/token-" + n + "/") + ")"};
    case 4:
      return {EventType::kProcessExec,
              "process.exec_path.endsWith(" + quoted("/tool" + n) +
                  ") && process.ancestors.exists(p, p.argv.exists(a, a == \"install\"))"};
    case 5:
      return {
          EventType::kProcessExec,
          "!process.exec_path.startsWith(\"/usr/sbin/\") && process.argv.exists(a, a.contains(" +
              quoted("payload" + n) + "))"};
    case 6:
      return {EventType::kProcessExec, "list." + list +
                                           ".exists(t, process.exec_path.endsWith(t)) && "
                                           "process.argv.exists(a, a == " +
                                           quoted("--mode" + n) + ")"};
    case 7:
      return {EventType::kDomain, "domain == " + quoted("evil" + n + ".example") +
                                      " || domain.endsWith(" + quoted(".evil" + n + ".example") +
                                      ")"};
    case 8:
      return {EventType::kNetworkConnect,
              "inIpRange(remote_ip, \"10." + std::to_string(i / 256 % 256) + "." +
                  std::to_string(i % 256) + ".0/24\") && remote_port != 443"};
    default:
      return {EventType::kFileRemove, "list." + list +
                                          ".exists(t, path.endsWith(t)) && "
                                          "!path.startsWith(" +
                                          quoted("/tmp/build" + n) + ")"};
  }
}

std::vector<cicd::RuleSet> rules(int count) {
  cicd::RuleSet set;
  set.ruleset_id = "generated";
  for (int i = 0; i < count; ++i) {
    const int number = i / kRulesPerList;
    const std::string list = "list" + std::to_string(number);
    if (i % kRulesPerList == 0) {
      const int length = 10 + number * 97 % 491;  // 10 to 500
      for (int j = 0; j < length; ++j) {
        set.lists[list].push_back("/name" + std::to_string(number) + "-" + std::to_string(j));
      }
    }
    const auto [type, condition] = rule_of(i, list);
    cicd::Rule rule;
    rule.rule_id = "rule_" + std::to_string(i);
    rule.rule_name = "Generated rule " + std::to_string(i);
    rule.event_type = type;
    rule.condition = {condition, "generated", 1, 1, {}};
    set.rules.push_back(rule);
  }
  return {set};
}

Chain compiler_below(int ancestors) {
  Chain out = {{"/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
                {"cc1", "-quiet", "-imultiarch", "x86_64-linux-gnu", "main.c", "-o", "/tmp/a.s"}}};
  for (int i = 0; i < ancestors; ++i) {
    out.push_back({"/usr/bin/make", {"make", "-C", "src" + std::to_string(i), "all"}});
  }
  return out;
}

void evaluate(benchmark::State& state, const std::vector<Event>& events) {
  const auto compiled = cicd::compile(rules(static_cast<int>(state.range(0))));
  const auto evaluator = cicd::make_evaluator(compiled.program);
  std::size_t at = 0;
  std::size_t hits = 0;
  for (auto _ : state) {
    hits += evaluator->evaluate(events[at].record()).size();
    at = at + 1 < events.size() ? at + 1 : 0;
  }
  if (hits != 0) state.SkipWithError("an event of the benchmark matched a rule");
}

void BM_ManyFileOpen(benchmark::State& state) {
  const auto process = cicd::test::chain(compiler_below(5));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    Event event(EventType::kFileOpen, process);
    event.text(cicd::field::file_open::kPath,
               "/usr/include/Linux/header" + std::to_string(i) + ".h");
    event.number(cicd::field::file_open::kIsRead, 1);
    events.push_back(event);
  }
  evaluate(state, events);
}
BENCHMARK(BM_ManyFileOpen)->RangeMultiplier(10)->Range(10, 10'000);

void BM_ManyExecUnseen(benchmark::State& state) {
  const auto parent = cicd::test::chain(compiler_below(5))->parent;
  std::vector<Event> events;
  for (int i = 0; i < 5000; ++i) {
    auto process = std::make_shared<cicd::Process>();
    auto image = std::make_shared<cicd::ExecImage>();
    image->exec_path = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
    image->argv = {"cc1", "-quiet", "file" + std::to_string(i) + ".c", "-o", "/tmp/a.s"};
    process->image = std::move(image);
    process->parent = parent;
    events.emplace_back(EventType::kProcessExec, std::move(process));
  }
  evaluate(state, events);
}
BENCHMARK(BM_ManyExecUnseen)->RangeMultiplier(10)->Range(10, 10'000);

void BM_ManyConnect(benchmark::State& state) {
  evaluate(state, {cicd::test::connect("203.0.113.7", 443, compiler_below(5))});
}
BENCHMARK(BM_ManyConnect)->RangeMultiplier(10)->Range(10, 10'000);

void BM_ManyDomain(benchmark::State& state) {
  const auto process = cicd::test::chain(compiler_below(5));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    Event event(EventType::kDomain, process);
    event.text(cicd::field::domain::kDomain, "host" + std::to_string(i) + ".packages.example");
    events.push_back(event);
  }
  evaluate(state, events);
}
BENCHMARK(BM_ManyDomain)->RangeMultiplier(10)->Range(10, 10'000);

void BM_ManyFileRemove(benchmark::State& state) {
  const auto process = cicd::test::chain(compiler_below(5));
  std::vector<Event> events;
  for (int i = 0; i < 64; ++i) {
    Event event(EventType::kFileRemove, process);
    event.text(cicd::field::file_remove::kPath, "/tmp/cc" + std::to_string(i) + ".o");
    events.push_back(event);
  }
  evaluate(state, events);
}
BENCHMARK(BM_ManyFileRemove)->RangeMultiplier(10)->Range(10, 10'000);

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// Time until events can be evaluated, and what program and evaluator then hold.
void BM_ManyCompile(benchmark::State& state) {
  const auto sets = rules(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    const auto compiled = cicd::compile(sets);
    benchmark::DoNotOptimize(cicd::make_evaluator(compiled.program));
  }
  ::malloc_trim(0);
  const double resident = resident_bytes();
  const auto heap = static_cast<double>(::mallinfo2().uordblks + ::mallinfo2().hblkhd);
  auto program = cicd::compile(sets).program;
  const auto evaluator = cicd::make_evaluator(program);
  ::malloc_trim(0);
  const auto heap_after = static_cast<double>(::mallinfo2().uordblks + ::mallinfo2().hblkhd);
  state.counters["heap_MB"] = (heap_after - heap) / 1e6;
  state.counters["rss_MB"] = (resident_bytes() - resident) / 1e6;
}
BENCHMARK(BM_ManyCompile)->Arg(100)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
