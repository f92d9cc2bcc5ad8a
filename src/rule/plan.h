// SPDX-License-Identifier: Apache-2.0
// Plan: the programs of the scopes of a job as one evaluation. What is equal in them is there once;
// an entry (one condition) knows all rules it stands for, so that a hit goes to each scope that
// owns one and no scope can mask what another one has.
//
// Pure data, immutable once linked; any thread. Read by evaluator.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rule/code.h"
#include "rule/rule_index.h"

namespace cicd {

struct Plan {
  struct Owner {
    std::uint32_t scope;  // index in `programs`
    std::uint32_t rule;   // index in its rules()
  };
  struct Entry {
    std::uint32_t root = 0;  // instruction
    std::vector<Owner> owners;
  };

  std::vector<std::shared_ptr<const Program>> programs;  // some may be null
  Code code;
  std::array<std::vector<Entry>, kEventTypeCount> entries;  // by event type
  RuleIndex index;
  // By set, ready for use where a set is long; null where it is asked pattern by pattern.
  std::vector<std::unique_ptr<const TextMatcher>> matchers;
};

}  // namespace cicd
