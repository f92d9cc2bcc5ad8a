// SPDX-License-Identifier: Apache-2.0
// ContainerEnd: the part of a termination (termination.h) that is about the job's containers: their
// cgroups lie outside of the job's own, if it has one at all, and hold nothing but the job's
// processes. One that holds a process of the sensor itself is left alone; what runs in it is ended
// one by one.
//
// Threads: freeze() before everything else, then one. A container that appears later is found by
// the next kill().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "job/job_cgroup.h"

namespace cicd {

class ContainerEnd {
 public:
  // What is there at the moment; null: none ever.
  using Find = std::function<std::vector<JobCgroup>()>;

  ContainerEnd(Find find, std::vector<pid_t> own) : find_(std::move(find)), own_(std::move(own)) {}

  void freeze();
  // Has the kernel end all of them as a whole. Returns who was in those where it did, sorted.
  std::vector<pid_t> kill();
  // Whether somebody lives in one that the kernel has ended.
  bool is_populated() const;
  void thaw() const;

 private:
  struct Group {
    JobCgroup cgroup;
    bool is_killed = false;
  };
  void look();

  Find find_;
  std::vector<pid_t> own_;
  std::map<std::uint64_t, Group> groups_;  // by cgroup id
};

}  // namespace cicd
