// SPDX-License-Identifier: Apache-2.0
// `cicd-sensorctl report html`: the page of a job, of the files of a run or of a result document.
// One thread.
#pragma once

#include <string>
#include <vector>

namespace cicd::ctl {

// `arguments` are those behind the command's name. The page goes to stdout or the named file,
// mistakes to stderr; the answer is the exit code.
int report_html(const std::vector<std::string>& arguments);

}  // namespace cicd::ctl
