// SPDX-License-Identifier: Apache-2.0
// The hot path allocates nothing in the steady state: counted with an operator new of our own.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include "rule/baseline.h"
#include "rule/program.h"
#include "rule/test_events.h"

namespace {

std::atomic<std::uint64_t> allocations{0};

void* counted(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes > 0 ? bytes : 1);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (void* memory = counted(bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t) {
  return operator new(bytes);  // nothing here asks for more than malloc gives
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace cicd {
namespace {

// What a field holds: text that must be lower-cased or normalised, or that rules look for.
std::string text_of(std::string_view field, std::size_t i) {
  const std::string number = std::to_string(i % 10);
  if (field == "error" || field == "result") return "";
  if (field.ends_with("ip")) return i % 2 == 0 ? "10.0.0." + number : "2001:DB8::" + number;
  if (field == "domain" || field == "host") return "Host" + number + ".\xc3\x89tude.example";
  switch (i % 3) {
    case 0:
      return "/home/Runner" + number + "/.npmrc";
    case 1:
      return "/tmp/\xc3\x89tude\xff" + number;
    default:
      return "/HOME/x/.AWS/credentials";
  }
}

// Events of all types; half of them of a process that was not seen before, more of them than the
// caches hold, so that these fill, are emptied and fill again.
std::vector<test::Event> events() {
  const std::vector<test::Program> above = {
      {"/usr/bin/dash", {"sh", "-c", "cat ~/.npmrc"}},
      {"/usr/bin/python3.11", {"python3", "-m", "pip", "install", "Caf\xc3\x89"}},
      {"/usr/bin/bash", {"bash", "-e", "step.sh"}},
      {"/usr/bin/runner", {"runner"}},
      {"/usr/lib/systemd/systemd", {"init"}}};
  const ProcessRef parent = test::chain(above);
  std::vector<test::Event> out;
  ProcessRef process;
  for (std::size_t i = 0; i < 12'000; ++i) {
    if (i % 2 == 0) {
      auto image = std::make_shared<ExecImage>();
      image->exec_path = "/usr/bin/Cat";
      image->argv = {"cat", "--Number", "/HOME/x", "\xc3\x89" + std::to_string(10'000 + i)};
      auto made = std::make_shared<Process>();
      made->image = std::move(image);
      made->parent = parent;
      process = std::move(made);
    }
    const EventTypeInfo& info = event_types()[i / 2 % kEventTypeCount];
    test::Event& event = out.emplace_back(info.type, process);
    for (std::size_t at = 0; at < info.fields.size(); ++at) {
      const auto field = static_cast<std::uint8_t>(at);
      if (info.fields[at].type == FieldType::kString) {
        event.text(field, text_of(info.fields[at].name, i));
      } else {
        event.number(field, static_cast<std::int64_t>(i % 2));
      }
    }
  }
  return out;
}

// Shapes the baseline may not have: lists that stay lists, texts of two fields, ancestors of
// ancestors, sets long enough for a matcher.
RuleSet more_rules() {
  RuleSet set;
  set.ruleset_id = "more";
  for (int i = 0; i < 40; ++i) set.lists["names"].push_back("/name" + std::to_string(i));
  for (const char* condition :
       {"!list.names.exists(n, n.contains(path))", "list.names.exists(n, path.contains(n))",
        "process.ancestors.exists(p, p.descendants.exists(d, d.exec_path.contains('sh')))",
        "process.argv.exists(a, list.names.exists(n, a.endsWith(n)))",
        "!path.startsWith('/tmp/') && path != process.exec_path",
        "process.argv.exists(a, path.contains(a) && process.ancestors.exists(p, p.exec_path != a))",
        "process.ancestors.exists(p, p.argv.exists(a, a == 'install')) && flags != 3"}) {
    Rule rule;
    rule.rule_id = "r" + std::to_string(set.rules.size());
    rule.event_type = EventType::kFileOpen;
    rule.condition = {condition, "more", 1, 1, {}};
    set.rules.push_back(rule);
  }
  return set;
}

TEST(Allocation, EvaluationAllocatesNothingInTheSteadyState) {
  const CompileResult host = compile(baseline_rules().rule_sets);
  const CompileResult project = compile({more_rules()});
  ASSERT_NE(host.program, nullptr);
  ASSERT_NE(project.program, nullptr);
  const auto evaluator = make_evaluator(link({host.program, project.program}));
  const std::vector<test::Event> all = events();
  const auto pass = [&] {
    std::array<std::uint64_t, 2> hits{};
    for (const test::Event& event : all) {
      evaluator->evaluate(event.record());
      for (std::size_t scope = 0; scope < hits.size(); ++scope) {
        hits[scope] += evaluator->hits(scope).size();
      }
    }
    return hits;
  };
  const auto first = pass();
  EXPECT_GT(first[0], 1000u);
  EXPECT_GT(first[1], 1000u);
  for (int warm = 0; warm < 3; ++warm) pass();
  const std::uint64_t before = allocations.load();
  const auto again = pass();
  EXPECT_EQ(allocations.load() - before, 0u);
  EXPECT_EQ(again, first);
  EXPECT_GT(before, 0u) << "the counter does not count";
}

}  // namespace
}  // namespace cicd
