// SPDX-License-Identifier: Apache-2.0
// HookState: what a process that takes over pinned programs (pin_folder.h) cannot learn from them:
// which backends were chosen, why others were not, and what makes it the same kernel side. As JSON
// of one line. Pure data; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

struct HookState {
  // Of the programs and of the options they were loaded with; another one does not fit.
  std::string identity;
  std::int64_t realtime_offset_ns = 0;  // ClockInfo, so that old and new times fit
  std::vector<std::string> backends;    // taken, in the order of the chains
  std::map<std::string, std::string, std::less<>> errors;  // by program
  std::set<std::string, std::less<>> absent;               // programs
  std::string trampoline_error;
};

std::string to_text(const HookState& state);
// nullopt: not written by to_text().
std::optional<HookState> parse_hook_state(std::string_view text);

}  // namespace cicd
