// SPDX-License-Identifier: Apache-2.0
// BuildSteps: gives the steps of BuildKit to the job that builds (job/build_watch.h). With Docker's
// cgroupfs driver BuildKit makes the cgroup of each step below one cgroup that holds nothing else;
// while a job has that one, the kernel gives it each step from its first moment on. With the
// systemd driver it makes them beside dockerd's own cgroup, among those of all services: then each
// is given to the job when its folder shows up, which is a moment later.
//
// Threads: the registry's; `on_step` is called on one of its own. Lifetime: registry, keeper and
// pipeline outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "agent/folder_watch.h"
#include "agent/job_keeper.h"
#include "agent/pipeline.h"
#include "base/log.h"
#include "job/build_watch.h"
#include "job/job_cgroup.h"
#include "job/job_registry.h"
#include "track/container_name.h"

namespace cicd {

class BuildSteps final : public BuildKeeping {
 public:
  // `path`: of the cgroup that steps are made in, below the v2 root. `on_step`: one was made
  // among others; has take_step() called with its name, on the registry's thread.
  BuildSteps(JobRegistry& registry, JobKeeper& keeper, Pipeline& pipeline, std::string path,
             const Log& log, std::function<void(const std::string&)> on_step)
      : registry_(registry),
        keeper_(keeper),
        pipeline_(pipeline),
        path_(std::move(path)),
        log_(log),
        watch_([tell = std::move(on_step)](const std::string& name) {
          if (container_of_cgroup("/" + name).runtime == "buildkit") tell(name);
        }) {}

  std::string job_of(pid_t pid) const override { return registry_.job_of(pid); }
  std::uint32_t slot_of_job(const std::string& key) const override {
    return registry_.slot_of_job(key);
  }
  Result<void> give_steps_to(std::uint32_t slot) override;
  // What an agent that was killed had given is nobody's again: who builds now is not known yet.
  void take_back() const;
  // `slot`: whose steps are new now; 0: nobody's.
  void take_step(const std::string& name, std::uint32_t slot);
  void add_problem(std::uint32_t slot, const std::string& problem) override;

 private:
  Result<JobCgroup> open_parent() const;

  JobRegistry& registry_;
  JobKeeper& keeper_;
  Pipeline& pipeline_;
  const std::string path_;
  const Log& log_;
  std::uint64_t given_id_ = 0;  // 0: nobody has it
  std::string watched_dir_;     // that steps show up in; empty: not watched
  FolderWatch watch_;           // last: it calls back
};

}  // namespace cicd
