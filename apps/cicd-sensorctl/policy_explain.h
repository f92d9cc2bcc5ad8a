// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl policy explain`: why a destination is allowed or denied. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// Arguments after `policy explain`; returns the exit code.
int policy_explain(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
