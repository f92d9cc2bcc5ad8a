// SPDX-License-Identifier: Apache-2.0
// JobCgroup: the cgroup that a job's command starts in, made below the caller's own v2 cgroup, so
// that runs nest and do not disturb each other. Pure and hybrid hosts: what counts is where the v2
// hierarchy is mounted and where in it the caller is.
//
// Threads: none shared; plain system calls. Lifetime: an object does not remove its cgroup when it
// goes (two processes hold one at the same time); remove() does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// Where a process is in the v2 hierarchy.
struct CgroupPlace {
  std::string mount_point;  // of the hierarchy
  std::string path;         // below the root of the hierarchy, as /proc/self/cgroup has it
  std::string dir;          // the same in the file system
};

// Every place the two texts (/proc/self/mountinfo, /proc/self/cgroup) allow, best first. The error
// says which part of cgroup v2 is missing.
Result<std::vector<CgroupPlace>> locate_cgroup(std::string_view mountinfo, std::string_view cgroup);

// The caller's own place, checked to be there.
Result<CgroupPlace> find_own_cgroup();
// That of another process, in the caller's mounts.
Result<CgroupPlace> find_cgroup_of(pid_t pid);

class JobCgroup {
 public:
  static Result<JobCgroup> create(const CgroupPlace& parent, const std::string& name);
  // One that is there already. kNotFound when it is not.
  static Result<JobCgroup> open(const std::string& dir);

  int fd() const { return fd_.get(); }
  std::uint64_t id() const { return id_; }  // the v2 cgroup id that the kernel side sees
  const std::string& dir() const { return dir_; }

  // Whether a process, not yet reaped ones aside, is in it or below it.
  Result<bool> is_populated() const;
  // Processes in it and below it; 0 stands for one outside of the caller's pid namespace.
  std::vector<pid_t> processes() const;
  // Moves every process in it and below it to the cgroup at `dir` and says how many it moved.
  // New ones are followed for a bounded number of rounds.
  Result<std::size_t> move_processes_to(const std::string& dir) const;
  // Nothing in it and below it does another step until it is thawed. False: the kernel refused.
  bool freeze(bool is_frozen) const;
  bool is_frozen() const;  // by its own switch
  // SIGKILL to all in it and below it, forks under way too; the kernel has it since 5.14.
  bool kill() const;
  // Removes it and the empty cgroups below it. Gone already is no error.
  Result<void> remove() const;

 private:
  JobCgroup() = default;
  UniqueFd fd_;
  UniqueFd events_;  // cgroup.events; none: it went at that moment, or is the root
  std::uint64_t id_ = 0;
  std::string dir_;
};

}  // namespace cicd
