// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl rule docs`. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// `arguments` are those behind the command's name. Writes to stdout (the table) and stderr
// (mistakes). Exit codes as in rule_validate.h.
int rule_docs(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
