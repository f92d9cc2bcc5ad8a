// SPDX-License-Identifier: Apache-2.0
// FolderWatch: tells of folders that are made in a folder, as they are made (inotify). What is
// there before is not told, nor what comes while more are made than the kernel keeps for us.
//
// Threads: its own, which calls `on_new`; watch() from one other. Lifetime: what `on_new` uses
// outlives it.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"

namespace cicd {

class FolderWatch {
 public:
  // The name of the new folder.
  explicit FolderWatch(std::function<void(const std::string&)> on_new)
      : on_new_(std::move(on_new)) {}
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // One folder, from now on. Once more is no mistake.
  Result<void> watch(const std::string& folder);

 private:
  void run() const;

  std::function<void(const std::string&)> on_new_;
  UniqueFd inotify_, stop_;
  Worker worker_;
};

}  // namespace cicd
