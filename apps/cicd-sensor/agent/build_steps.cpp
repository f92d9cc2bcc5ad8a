// SPDX-License-Identifier: Apache-2.0
#include "agent/build_steps.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "job/job_cgroup.h"

namespace cicd {

// Made when it is not there yet, as dockerd would make it with the first step. It stays: dockerd
// may be making a step in it at any time.
Result<std::uint64_t> BuildSteps::open_parent() const {
  CICD_ASSIGN(const CgroupPlace own, find_own_cgroup());
  const std::string dir = own.mount_point + path_;
  for (std::size_t at = own.mount_point.size(); at != std::string::npos;) {
    at = dir.find('/', at + 1);
    const std::string part = dir.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "make the cgroup " + part);
    }
  }
  CICD_ASSIGN(const JobCgroup parent, JobCgroup::open(dir));
  // What runs in it would become the job's as well.
  std::ifstream procs(dir + "/cgroup.procs");
  int pid = 0;
  if (procs >> pid) {
    return fail(ErrorCode::kInvalidInput, "processes run in the cgroup " + path_,
                "--build-cgroup names the one that BuildKit makes those of its steps in");
  }
  return parent.id();
}

Result<void> BuildSteps::give_steps_to(std::uint32_t slot) {
  if (slot == 0) {
    if (given_id_ != 0) CICD_TRY(pipeline_.give_cgroup(given_id_, 0));
    given_id_ = 0;
    keeper_.share_cgroup(0);
    return {};
  }
  CICD_ASSIGN(const std::uint64_t id, open_parent());
  // Before it is the job's: ending the job must not end what others have in there.
  keeper_.share_cgroup(id);
  CICD_TRY(pipeline_.give_cgroup(id, slot));
  if (given_id_ == 0) log_.debug("build_steps_given", {{"slot", std::to_string(slot)}});
  given_id_ = id;
  return {};
}

void BuildSteps::add_problem(std::uint32_t slot, const std::string& problem) {
  log_.warn("build_steps_missing", {{"slot", std::to_string(slot)}, {"reason", problem}});
  keeper_.add_problem(slot, problem);
}

}  // namespace cicd
