// SPDX-License-Identifier: Apache-2.0
// LinkPins: what keeps the attached programs attached. Links are pinned in a bpffs of our own that
// is mounted nowhere; only the descriptor of that mount keeps it alive. When the last process that
// holds the descriptor is gone, the kernel takes the file system apart and detaches everything in
// the background: nothing stalls, and nothing is left in any directory.
//
// Or they are pinned in a folder that people see (pin_folder.h): then they outlive the process.
//
// Where no such mount can be had, or a link cannot be pinned (kernels before 5.15 for tracepoints),
// the link's own descriptor is held instead: the same effect, but the end takes a grace period
// each. Threads: one. Processes: shared by fork(); whoever unpins last detaches.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

class LinkPins {
 public:
  LinkPins();
  // In this folder of a bpffs.
  explicit LinkPins(UniqueFd folder) : mount_(std::move(folder)) {}

  // Whether a link of this name is kept, also by a process before this one.
  bool has(std::string_view name) const;
  // Takes the link over.
  void keep(std::string_view name, UniqueFd link);
  // Detaches it, without waiting for the kernel where it is pinned.
  void drop(std::string_view name);

  // Why links are not pinned, or empty.
  const std::string& fallback_reason() const { return fallback_reason_; }

 private:
  Result<> pin(const std::string& name, int link_fd);

  UniqueFd mount_;
  std::map<std::string, UniqueFd, std::less<>> held_;  // links that could not be pinned
  std::string fallback_reason_;
};

// A file system mounted nowhere, by type; gone with the descriptor.
Result<UniqueFd> detached_mount(const char* type);

}  // namespace cicd
