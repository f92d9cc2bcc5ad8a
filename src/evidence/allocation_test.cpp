// SPDX-License-Identifier: Apache-2.0
// The steady state allocates nothing: operator new is counted while rows are written.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "evidence/file_sink.h"
#include "job/scope.h"
#include "support/records.h"

namespace {

std::atomic<std::uint64_t> allocations = 0;

}  // namespace

// A sanitizer brings its own operator new, and its bookkeeping is not what is measured here.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CICD_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CICD_TEST_SANITIZED 1
#endif

#ifndef CICD_TEST_SANITIZED

void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace cicd {
namespace {

using support::FunctionEvaluator;
using support::FunctionProgram;

TEST(Allocation, TheCounterCounts) {
  const std::uint64_t before = allocations;
  const auto text = std::make_unique<std::string>(100, 'x');
  EXPECT_GE(allocations - before, 2u) << text->size();
}

TEST(Allocation, SteadyStateOfAScopeWithFilesIsZero) {
  std::string pattern = (std::filesystem::temp_directory_path() / "cicd-alloc-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  FileSinkOptions options;
  options.directory = pattern;
  options.identity.provider = "generic";
  auto sink = make_file_sink(options);
  ASSERT_TRUE(sink) << sink.error().text;
  auto program = std::make_shared<FunctionProgram>();
  program->add("t", RuleAction::kTerminate, 1, [](const EventRecord& record) {
    return record.type == EventType::kNetworkConnect;  // no cap: a detection row each
  });
  Scope scope({.program = program, .sink = std::move(*sink), .on_terminate = {}});
  FunctionEvaluator evaluator(program);

  std::vector<EventRecord> records;
  for (int i = 0; i < 50; ++i) {
    const ProcessRef process = support::make_chain(8, static_cast<std::uint64_t>(i) * 8 + 1);
    records.push_back(support::make_exec(process));
    records.push_back(support::make_open(process, "/home/u/.npmrc"));
    records.push_back(support::make_open(process, "/usr/include/\xFF stdio.h"));
    records.push_back(support::make_connect(process, "10.0.0.1", 443));
  }
  const auto round = [&] {
    for (const EventRecord& record : records) scope.handle(record, evaluator.evaluate(record));
    scope.flush();
  };
  round();
  const std::uint64_t before = allocations;
  for (int i = 0; i < 20; ++i) round();
  EXPECT_EQ(allocations - before, 0u);
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace cicd

#else

TEST(Allocation, IsCountedInBuildsWithoutSanitizers) {
  GTEST_SKIP() << "optional: allocations are counted in builds without sanitizers; here: "
               << allocations;
}

#endif
