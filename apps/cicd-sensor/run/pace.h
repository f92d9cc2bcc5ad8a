// SPDX-License-Identifier: Apache-2.0
// How often the engine looks at the rings while the job does something. Each look costs the same
// whether it finds one sample or hundreds (two threads wake up, two files are written), so it looks
// as seldom as nobody minds: when a rule may end the job, each millisecond is one that the job
// still has. A ring that fills up wakes the engine at any time, and so does the first sample after
// a pause. Pure; any thread.
#pragma once

#include <algorithm>
#include <chrono>

#include "rule/program.h"

namespace cicd {

inline constexpr std::chrono::milliseconds kPromptPace{3};
inline constexpr std::chrono::milliseconds kRelaxedPace{20};

inline std::chrono::milliseconds pace_of(const Program* program) {
  const auto ends_the_job = [](const CompiledRule& rule) {
    return rule.rule.action == RuleAction::kTerminate;
  };
  const bool is_urgent = program != nullptr && std::ranges::any_of(program->rules(), ends_the_job);
  return is_urgent ? kPromptPace : kRelaxedPace;
}

}  // namespace cicd
