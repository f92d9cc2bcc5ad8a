// SPDX-License-Identifier: Apache-2.0
// find_command: which file a command's name stands for, as a shell would look for it. Any thread;
// call it inside ActAs when the command runs as another user.
#pragma once

#include <string>

#include "base/result.h"

namespace cicd {

// `search_path`: value of PATH. kNotFound (exit 127): there is no such file; kPermission (exit
// 126): it is there but cannot be executed.
Result<std::string> find_command(const std::string& name, const std::string& search_path);

}  // namespace cicd
