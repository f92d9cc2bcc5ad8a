// SPDX-License-Identifier: Apache-2.0
// Programs and plans are shared between the workers of jobs. Here and not beside ProgramCache,
// because the tests of this folder run under ThreadSanitizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "rule/program_cache.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

RuleSet set_of(const std::string& condition) {
  Rule rule;
  rule.rule_id = "r";
  rule.event_type = EventType::kFileOpen;
  rule.condition = {condition, "test", 1, 1, {}};
  RuleSet out;
  out.ruleset_id = "set";
  out.rules.push_back(rule);
  return out;
}

TEST(SharedPrograms, JobsOfManyThreadsTakeThemFromOneCache) {
  ProgramCache cache;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&cache] {
      const test::Event event = test::open("/q", {{"/bin/cat", {"cat"}}, {"/bin/sh", {"sh"}}});
      const auto host = cache.compile({set_of("path.contains(\"q\")")});
      for (int i = 0; i < 50; ++i) {
        const auto own = cache.compile({set_of("is_read && flags != " + std::to_string(i + 1))});
        const auto evaluator = make_evaluator(cache.link({host.program, own.program}));
        evaluator->evaluate(event.record());
        EXPECT_THAT(evaluator->hits(0), testing::ElementsAre(0));
        EXPECT_THAT(evaluator->hits(1), testing::ElementsAre(0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cicd
