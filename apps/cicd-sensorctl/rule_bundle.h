// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule bundle`: one rule file out of a directory. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `rule bundle`; returns the exit code.
int rule_bundle(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
