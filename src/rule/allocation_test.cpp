// SPDX-License-Identifier: Apache-2.0
// The hot path allocates nothing in the steady state: counted with an operator new of our own.
#include <gtest/gtest.h>

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

// Events of many processes, with text that must be lower-cased and normalised, so that the caches
// fill, are emptied and fill again.
std::vector<test::Event> events() {
  std::vector<test::Event> out;
  const std::vector<test::Program> chain = {
      {"/usr/bin/Cat", {"cat", "--Number", "/HOME/x"}},
      {"/usr/bin/dash", {"sh", "-c", "cat ~/.npmrc"}},
      {"/usr/bin/python3.11", {"python3", "-m", "pip", "install", "Caf\xc3\x89"}},
      {"/usr/bin/bash", {"bash", "-e", "step.sh"}},
      {"/usr/bin/runner", {"runner"}},
      {"/usr/lib/systemd/systemd", {"init"}}};
  for (int i = 0; i < 5000; ++i) {
    const std::string number = std::to_string(i % 10);
    switch (i % 4) {
      case 0:
        out.push_back(test::exec(chain));
        break;
      case 1:
        out.push_back(test::open("/home/Runner" + number + "/.npmrc", chain));
        break;
      case 2:
        out.push_back(test::open("/tmp/\xc3\x89tude\xff" + number, chain, true));
        break;
      default:
        out.push_back(test::connect("10.0.0." + number, 443, chain));
    }
  }
  return out;
}

TEST(Allocation, EvaluationAllocatesNothingInTheSteadyState) {
  const CompileResult compiled = compile(baseline_rules().rule_sets);
  ASSERT_NE(compiled.program, nullptr);
  const auto evaluator = make_evaluator(compiled.program);
  const std::vector<test::Event> all = events();
  const auto pass = [&] {
    std::uint64_t hits = 0;
    for (const test::Event& event : all) hits += evaluator->evaluate(event.record()).size();
    return hits;
  };
  const std::uint64_t first = pass();
  EXPECT_GT(first, 1000u);
  for (int warm = 0; warm < 3; ++warm) pass();
  const std::uint64_t before = allocations.load();
  const std::uint64_t again = pass();
  EXPECT_EQ(allocations.load() - before, 0u);
  EXPECT_EQ(again, first);
  EXPECT_GT(before, 0u) << "the counter does not count";
}

}  // namespace
}  // namespace cicd
