// SPDX-License-Identifier: Apache-2.0
// The step of the CI job that an event happened in, as the CI platform names it. Made once a step,
// immutable, shared by the records of that step.
#pragma once

#include <memory>
#include <string>

namespace cicd {

struct Step {
  std::string id;    // as the platform writes it; empty: it has none
  std::string name;  // what people see
};
using StepRef = std::shared_ptr<const Step>;

}  // namespace cicd
