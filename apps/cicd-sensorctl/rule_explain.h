// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule explain`: why a rule fires for an event, or does not. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `rule explain`; returns the exit code.
int rule_explain(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
