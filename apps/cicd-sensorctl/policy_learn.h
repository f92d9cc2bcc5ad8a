// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl policy learn`: a policy file of what jobs have reached. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

int policy_learn(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
