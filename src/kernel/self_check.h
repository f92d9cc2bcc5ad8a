// SPDX-License-Identifier: Apache-2.0
// The self-check: does what a job does, in a cgroup of its own, and wants to see it come back.
// The hooks of a job must be attached. Thread: that of the source.
#pragma once

#include <string>

#include "base/result.h"

namespace cicd {

class LiveSource;

Result<> run_self_check(LiveSource& source, const std::string& cgroup_dir);

}  // namespace cicd
