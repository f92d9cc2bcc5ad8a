// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule validate`. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Exit codes of cicd-sensorctl.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFindings = 1;
inline constexpr int kExitUsage = 2;

// `arguments` are those behind the command's name. Writes to stdout (findings) and stderr (usage).
int rule_validate(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
