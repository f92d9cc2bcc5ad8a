// SPDX-License-Identifier: Apache-2.0
// The step of the CI job that an event happened in, as the CI platform names it. Made once a step,
// immutable, shared by the records of that step. What tells it, the table of platforms
// (job/ci_platform.h) says; the types here let the kernel side and the tracker ask without it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cicd {

struct Step {
  std::string id;    // as the platform writes it; empty: it has none
  std::string name;  // what people see
};
using StepRef = std::shared_ptr<const Step>;

// A variable of the environment that tells steps, and how much of its value is ever looked at.
struct StepVariable {
  std::string_view name;
  std::uint32_t most_value_bytes = 0;
  bool is_id = false;  // what a policy names a step by
};

// The step that a program was started for. `environment`: "NAME=value", each ended by a NUL, of
// step variables alone. nullopt: they tell none, the step is that of the parent.
using StepOf = std::optional<Step> (*)(std::string_view environment,
                                       std::span<const std::string> argv);

}  // namespace cicd
