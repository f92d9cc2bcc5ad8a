// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule schema`. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// `arguments` are those behind the command's name. Writes to stdout. Exit codes as in
// rule_validate.h.
int rule_schema(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
