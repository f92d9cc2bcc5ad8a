// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule replay`: rules over recorded logs. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `rule replay`; returns the exit code.
int rule_replay(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
