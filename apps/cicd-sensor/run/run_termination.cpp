// SPDX-License-Identifier: Apache-2.0
#include "run/run_termination.h"

#include <unistd.h>

namespace cicd {

Result<TerminationTarget> termination_target(const RunNames& names, const LiveSource& source,
                                             std::uint32_t slot, pid_t front_pid) {
  CICD_ASSIGN(JobCgroup group, JobCgroup::open(names.cgroup_dir));
  TerminationTarget target(std::move(group));
  target.cgroup_path = names.cgroup_path;
  target.refuge_dir = names.parent_dir;
  target.own = {::getpid(), front_pid};
  target.tracked = [&source, slot, is_known = is_in_initial_pid_namespace()] {
    return is_known ? source.processes(slot) : std::vector<TrackedProcess>{};
  };
  return target;
}

}  // namespace cicd
