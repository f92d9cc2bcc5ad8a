// SPDX-License-Identifier: Apache-2.0
// BuildSteps: gives the steps of BuildKit to the job that builds (job/build_watch.h): the kernel
// knows the cgroup that BuildKit makes those of its steps in, and gives each to the job from its
// first moment on. With Docker's cgroupfs driver that cgroup holds nothing else; with the systemd
// driver BuildKit makes them beside dockerd's own, among those of all services, and the kernel
// tells them by their names.
//
// Threads: the registry's. Lifetime: registry, keeper and pipeline outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/log.h"
#include "job/build_watch.h"
#include "job/job_cgroup.h"
#include "job/job_registry.h"

namespace cicd {

class BuildSteps final : public BuildKeeping {
 public:
  // `paths`: of the cgroups that steps may be made in, below the v2 root. One called "buildkit"
  // holds nothing else.
  BuildSteps(JobRegistry& registry, JobKeeper& keeper, Pipeline& pipeline,
             const std::vector<std::string>& paths, const Log& log);

  std::string job_of(pid_t pid) const override { return registry_.job_of(pid); }
  std::uint32_t slot_of_job(const std::string& key) const override {
    return registry_.slot_of_job(key);
  }
  Result<void> give_steps_to(std::uint32_t slot) override;
  // What an agent that was killed had given is nobody's again: who builds now is not known yet.
  void take_back();
  void add_problem(std::uint32_t slot, const std::string& problem) override;

 private:
  struct Parent {
    std::string path;
    bool are_among_others = false;
    std::uint64_t given_id = 0;  // 0: nobody has it
  };
  static Result<JobCgroup> open(const Parent& parent);
  Result<void> give(Parent& parent, std::uint32_t slot);
  Result<void> take(Parent& parent);

  JobRegistry& registry_;
  JobKeeper& keeper_;
  Pipeline& pipeline_;
  const Log& log_;
  std::vector<Parent> parents_;
};

}  // namespace cicd
