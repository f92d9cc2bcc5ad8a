// SPDX-License-Identifier: Apache-2.0
// What the host must have before anything is loaded, checked in the order in which a user can put
// it right; each failure says what is missing and what to do.
// Threads: any.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// Kernel age, permission to use bpf(2), BTF. `btf_path` empty: the kernel's own.
Result<> check_preconditions(const std::string& btf_path);

// Root directory of the cgroup v2 hierarchy.
Result<UniqueFd> open_cgroup_root();

// "sudo <this process's command line>", for hints.
std::string sudo_command();

}  // namespace cicd
