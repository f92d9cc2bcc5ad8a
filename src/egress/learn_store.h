// SPDX-License-Identifier: Apache-2.0
// LearnStore: what jobs of all projects have reached, kept in one SQLite file (egress.db in the
// agent's state folder). A job is one transaction at its end: it is in there whole or not at all,
// whatever else reads and writes the file at the same time.
//
// Errors: a file that is damaged, of another program or of a later version is never changed; the
// error says which, and what to do. Nothing of a job depends on it.
// Threads: one at a time; processes: any number. A writer waits for others up to kBusyMs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "egress/learned.h"

namespace cicd {

class LearnStore {
 public:
  static constexpr int kBusyMs = 5'000;

  // Made when it is missing, and `for_writing`.
  static Result<LearnStore> open(const std::string& path, bool for_writing);
  LearnStore(LearnStore&&) noexcept;
  LearnStore& operator=(LearnStore&&) noexcept;
  ~LearnStore();

  // How many destinations no job of the project had used before. A job that is there already is
  // left as it is, and answered with what was found then.
  Result<std::uint64_t> add(const LearnedJob& job);
  Result<Learned> learned(const std::string& project) const;
  Result<std::vector<std::string>> projects() const;  // sorted

 private:
  struct Impl;
  explicit LearnStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cicd
