// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule test`: runs rule test files. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `rule test`; returns the exit code.
int rule_test(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
