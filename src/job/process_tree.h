// SPDX-License-Identifier: Apache-2.0
// ProcessTree: who started whom on this machine, at one moment. Tells which processes make up a job
// when a hook inside it asks for it to be watched.
//
// Races: a picture; processes come and go while it is taken. Whoever moves a tree takes another
// picture until nothing new shows up.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cicd {

class ProcessTree {
 public:
  struct Entry {
    pid_t parent = 0;
    std::string comm;  // at most 15 bytes, as the kernel keeps it
    uid_t uid = 0;     // effective; 0 also for one that keeps its memory from others
  };

  // Of all of /proc: a few microseconds for each process of the machine.
  static ProcessTree read();
  // Only these and those that they descend from.
  static ProcessTree read_above(std::initializer_list<pid_t> pids);
  // Only `root` and what descends from it; of all of /proc where the kernel has no lists of
  // children. These lists can leave one out while a process next to it ends.
  static ProcessTree read_below(pid_t root);
  explicit ProcessTree(std::map<pid_t, Entry> entries) : entries_(std::move(entries)) {}

  // The process that a job hangs below, `peer` being the command of a hook in it: on GitHub the
  // runner's worker, elsewhere whoever started the command. kInvalidInput with the reason when
  // there is none, or when it would be pid 1 or one that `keeper` (the agent) descends from.
  Result<pid_t> root_of_job(pid_t peer, std::string_view provider, pid_t keeper) const;

  // `root` and all that descends from it, parents first.
  std::vector<pid_t> tree_below(pid_t root) const;

  // Whom a process belongs to; 0 when it is not in the picture.
  uid_t uid_of(pid_t pid) const {
    const auto found = entries_.find(pid);
    return found == entries_.end() ? 0 : found->second.uid;
  }
  bool contains(pid_t pid) const { return entries_.contains(pid); }

 private:
  bool is_above(pid_t ancestor, pid_t pid) const;
  pid_t worker_above(pid_t pid) const;  // -1: none

  std::map<pid_t, Entry> entries_;
};

}  // namespace cicd
