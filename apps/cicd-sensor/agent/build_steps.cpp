// SPDX-License-Identifier: Apache-2.0
#include "agent/build_steps.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "job/job_cgroup.h"

namespace cicd {

BuildSteps::BuildSteps(JobRegistry& registry, JobKeeper& keeper, Pipeline& pipeline,
                       const std::vector<std::string>& paths, const Log& log)
    : registry_(registry), keeper_(keeper), pipeline_(pipeline), log_(log) {
  for (const std::string& path : paths) {
    parents_.push_back({.path = path, .are_among_others = !path.ends_with("/buildkit")});
  }
}

// BuildKit's own is made when it is not there yet, as dockerd would make it with the first step. It
// stays: dockerd may be making a step in it at any time.
Result<JobCgroup> BuildSteps::open(const Parent& parent) {
  CICD_ASSIGN(const CgroupPlace own, find_own_cgroup());
  const std::string dir = own.mount_point + parent.path;
  if (parent.are_among_others) return JobCgroup::open(dir);
  for (std::size_t at = own.mount_point.size(); at != std::string::npos;) {
    at = dir.find('/', at + 1);
    const std::string part = dir.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "make the cgroup " + part);
    }
  }
  return JobCgroup::open(dir);
}

Result<void> BuildSteps::give(Parent& parent, std::uint32_t slot) {
  CICD_ASSIGN(const JobCgroup cgroup, open(parent));
  CICD_TRY(pipeline_.give_builds(cgroup.id(), parent.are_among_others, slot));
  parent.given_id = cgroup.id();
  return {};
}

Result<void> BuildSteps::take(Parent& parent) {
  if (parent.given_id == 0) return {};
  return pipeline_.give_builds(std::exchange(parent.given_id, 0), parent.are_among_others, 0);
}

// Where one is not there dockerd makes nothing in it: one that is there is enough.
Result<void> BuildSteps::give_steps_to(std::uint32_t slot) {
  Result<void> outcome;
  bool has_one = false;
  for (Parent& parent : parents_) {
    const Result<void> done = slot == 0 ? take(parent) : give(parent, slot);
    has_one = has_one || done;
    if (!done) outcome = done;
  }
  return has_one ? Result<void>() : outcome;
}

void BuildSteps::take_back() {
  for (Parent& parent : parents_) {
    const auto own = find_own_cgroup();
    if (!own) return;
    const auto cgroup = JobCgroup::open(own->mount_point + parent.path);
    if (!cgroup) continue;
    parent.given_id = cgroup->id();
    if (const auto taken = take(parent); !taken) {
      log_.error("build_steps_not_taken_back", {{"reason", taken.error().text}});
    }
  }
}

void BuildSteps::add_problem(std::uint32_t slot, const std::string& problem) {
  log_.warn("build_steps_missing", {{"slot", std::to_string(slot)}, {"reason", problem}});
  keeper_.add_problem(slot, problem);
}

}  // namespace cicd
