// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl policy validate`. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `policy validate`; returns the exit code.
int policy_validate(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
