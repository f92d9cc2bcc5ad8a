// SPDX-License-Identifier: Apache-2.0
// Guard: a few cheap facts of which at least one must hold where a rule fires. Rules are found by
// their guards (RuleIndex), so a rule whose guard does not hold costs nothing.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rule/code.h"

namespace cicd {

struct GuardAtom {
  enum class Kind : std::uint8_t {
    kFieldText,      // payload field `field` fits sets[index]
    kFieldNumber,    // payload field `field` is `number`
    kFieldRange,     // payload field `field` is an address in prefixes[index]
    kExecPath,       // the path of the process's program fits sets[index]
    kArgument,       // an argument of the process fits it
    kExecPathAbove,  // the path of an ancestor's program fits it
    kArgumentAbove,  // an argument of an ancestor fits it
  };
  Kind kind = Kind::kFieldText;
  std::uint8_t field = 0;
  std::uint32_t index = 0;
  std::int64_t number = 0;
};

struct Guard {
  std::vector<GuardAtom> atoms;  // none: the rule never fires
  std::uint64_t weight = 0;      // how often it will hold, as a guess; only good for comparing
};

// The best guard of the rule under `root`; nothing when it has none.
std::optional<Guard> guard_of(const Code& code, std::uint32_t root);

}  // namespace cicd
