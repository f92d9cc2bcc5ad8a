// SPDX-License-Identifier: Apache-2.0
#include "agent/build_steps.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "job/job_cgroup.h"

namespace cicd {

namespace {

// What runs in it, and not below, would become the job's with it.
bool holds_processes(const JobCgroup& cgroup) {
  std::ifstream procs(cgroup.dir() + "/cgroup.procs");
  int pid = 0;
  return static_cast<bool>(procs >> pid);
}

}  // namespace

// Made when it is not there yet, as dockerd would make it with the first step. It stays: dockerd
// may be making a step in it at any time.
Result<JobCgroup> BuildSteps::open_parent() const {
  CICD_ASSIGN(const CgroupPlace own, find_own_cgroup());
  const std::string dir = own.mount_point + path_;
  for (std::size_t at = own.mount_point.size(); at != std::string::npos;) {
    at = dir.find('/', at + 1);
    const std::string part = dir.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "make the cgroup " + part);
    }
  }
  return JobCgroup::open(dir);
}

Result<void> BuildSteps::give_steps_to(std::uint32_t slot) {
  if (slot == 0) {
    if (given_id_ != 0) CICD_TRY(pipeline_.give_cgroup(given_id_, 0));
    given_id_ = 0;
    keeper_.share_cgroup(0);
    return {};
  }
  if (!path_.ends_with("/buildkit")) {
    CICD_ASSIGN(const CgroupPlace own, find_own_cgroup());
    watched_dir_ = own.mount_point + path_;
    return watch_.watch(watched_dir_);
  }
  CICD_ASSIGN(const JobCgroup parent, open_parent());
  if (holds_processes(parent)) {
    return fail(ErrorCode::kInvalidInput, "processes run in the cgroup " + path_,
                "--build-cgroup names the one that BuildKit makes those of its steps in");
  }
  // Before it is the job's: ending the job must not end what others have in there.
  keeper_.share_cgroup(parent.id());
  CICD_TRY(pipeline_.give_cgroup(parent.id(), slot));
  if (given_id_ == 0) log_.debug("build_steps_given", {{"slot", std::to_string(slot)}});
  given_id_ = parent.id();
  return {};
}

void BuildSteps::take_back() const {
  const auto own = find_own_cgroup();
  if (!own || !path_.ends_with("/buildkit")) return;
  const auto parent = JobCgroup::open(own->mount_point + path_);
  if (!parent) return;
  if (const auto taken = pipeline_.give_cgroup(parent->id(), 0); !taken) {
    log_.error("build_steps_not_taken_back", {{"reason", taken.error().text}});
  }
}

void BuildSteps::take_step(const std::string& name, std::uint32_t slot) {
  if (slot == 0) return;
  const auto step = JobCgroup::open(watched_dir_ + "/" + name);
  const Result<void> given = step ? pipeline_.add_cgroup(slot, step->id(), path_ + "/" + name)
                                  : Result<void>(std::unexpected(step.error()));
  if (!given) {
    add_problem(slot, "a step of docker build was not seen: it ended before it could be watched (" +
                          given.error().text + ")");
  }
}

void BuildSteps::add_problem(std::uint32_t slot, const std::string& problem) {
  log_.warn("build_steps_missing", {{"slot", std::to_string(slot)}, {"reason", problem}});
  keeper_.add_problem(slot, problem);
}

}  // namespace cicd
