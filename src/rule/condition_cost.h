// SPDX-License-Identifier: Apache-2.0
// What a condition costs with each event: 1 for each of its parts, 20 for a regular expression, and
// what stands inside of a macro once for each element of its list (those of command lines and
// chains are taken to have 8). A part that looks at nothing but the process, its chain and lists
// has an answer that is kept, and costs 1. Advice for authors of rules, no measurement. Any thread.
#pragma once

#include <cstdint>

#include "rule/checked.h"

namespace cicd {

inline constexpr std::uint64_t kCostAdvice = 5'000;

std::uint64_t cost_of(const Checked& checked, const NamedLists& lists);

}  // namespace cicd
