// SPDX-License-Identifier: Apache-2.0
// BuildSteps: gives the steps of BuildKit to the job that builds (job/build_watch.h). dockerd's
// BuildKit makes the cgroup of each step below one cgroup that holds nothing else; while a job has
// that one, the kernel gives it each step from its first moment on.
//
// Thread: the registry's. Lifetime: registry, keeper and pipeline outlive it.
#pragma once

#include <cstdint>
#include <string>

#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/log.h"
#include "job/build_watch.h"
#include "job/job_registry.h"

namespace cicd {

class BuildSteps final : public BuildKeeping {
 public:
  // `path`: of that cgroup, below the v2 root.
  BuildSteps(JobRegistry& registry, JobKeeper& keeper, Pipeline& pipeline, std::string path,
             const Log& log)
      : registry_(registry),
        keeper_(keeper),
        pipeline_(pipeline),
        path_(std::move(path)),
        log_(log) {}

  std::string job_of(pid_t pid) const override { return registry_.job_of(pid); }
  std::uint32_t slot_of_job(const std::string& key) const override {
    return registry_.slot_of_job(key);
  }
  Result<void> give_steps_to(std::uint32_t slot) override;
  void add_problem(std::uint32_t slot, const std::string& problem) override;

 private:
  Result<std::uint64_t> open_parent() const;

  JobRegistry& registry_;
  JobKeeper& keeper_;
  Pipeline& pipeline_;
  const std::string path_;
  const Log& log_;
  std::uint64_t given_id_ = 0;  // 0: nobody has it
};

}  // namespace cicd
