// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl report stepsummary`: a result document as Markdown. One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// `arguments` are those behind the command's name. The answer is the exit code.
int report_stepsummary(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
