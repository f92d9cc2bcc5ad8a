// SPDX-License-Identifier: Apache-2.0
// Names a job asked for, those below one parent together: a tunnel asks for thousands that are
// never seen twice, and one line says more than ten of them.
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "job/summary.h"

namespace cicd {

struct DomainGroup {
  std::string name;  // of a single name the whole; else the last two labels, which all share
  std::uint64_t names = 0;
  std::uint64_t count = 0;              // questions
  std::vector<std::string> exec_paths;  // distinct, at most 10
  std::uint64_t process_overflow_count = 0;
};

// Most questions first, then by name.
std::vector<DomainGroup> group_domains(const std::vector<DomainUse>& uses);

}  // namespace cicd
