// SPDX-License-Identifier: Apache-2.0
// Exit codes of `cicd-sensor`; documented in the table of src/config.
#pragma once

#include "base/result.h"

namespace cicd {

inline constexpr int kExitFindings = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitRuleStruck = 90;
inline constexpr int kExitTerminated = 91;
inline constexpr int kExitSensorFailed = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// For an error that came before the command ran.
inline int exit_code_of(const Error& error) {
  const bool is_callers = error.code == ErrorCode::kUsage || error.code == ErrorCode::kInvalidInput;
  return is_callers ? kExitUsage : kExitSensorFailed;
}

}  // namespace cicd
