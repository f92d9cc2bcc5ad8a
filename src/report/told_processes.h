// SPDX-License-Identifier: Apache-2.0
// ToldProcesses: the tree of processes behind rows and documents, which name the ancestors of a
// process by program and arguments only. Which process was the parent is found by its own chain:
// the latest one that had the same. Twins (two workers of one make) can be taken for each other.
//
// Thread: one. Grows with what it is told; a chain it is told must not be longer than
// kMaxAncestorDepth.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "event/process.h"

namespace cicd {

class ToldProcesses {
 public:
  // `seen` as it is told of, with its parents; the same process in the tree. One without arguments
  // is the one with the same program that had some.
  ProcessRef of(const Process& seen);

 private:
  void add(Process& process, std::shared_ptr<const ExecImage> image);
  ProcessRef parent_of(const Process& seen);

  std::unordered_map<std::string, ProcessRef> by_identity_;
  std::unordered_map<std::string, ProcessRef> by_chain_;
  std::uint64_t last_id_ = 0;
};

}  // namespace cicd
