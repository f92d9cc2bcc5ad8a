// SPDX-License-Identifier: Apache-2.0
// ProcessNotes: what /proc said of processes that were there before their job was watched, in a
// file beside the job's journal: a process that is gone when the journal is read again cannot be
// asked any more.
//
// NotingProcReader asks /proc for the tracker, and notes the answers with the job whose sample is
// looked at.
//
// Threads: the pipeline thread. A note that cannot be written is missing after a restart; the
// process is then counted as unknown.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "track/proc_reader.h"

namespace cicd {

class ProcessNotes {
 public:
  // A file of its own, made anew; or with the notes that are in it already.
  static Result<std::unique_ptr<ProcessNotes>> create(const std::string& path);
  static Result<std::unique_ptr<ProcessNotes>> resume(const std::string& path);

  void note(std::uint32_t pid, std::uint64_t start_time_ns, const ProcFacts& facts);
  std::optional<ProcFacts> find(std::uint32_t pid, std::uint64_t start_time_ns) const;

 private:
  ProcessNotes() = default;
  void read(const std::string& line);

  UniqueFd fd_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, ProcFacts> earlier_;  // of resume()
};

class NotingProcReader final : public ProcReader {
 public:
  explicit NotingProcReader(std::unique_ptr<ProcReader> proc) : proc_(std::move(proc)) {}

  // Whose samples come next; null: nobody's.
  void set_notes(ProcessNotes* notes) { notes_ = notes; }
  std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t start_time_ns) override;

 private:
  std::unique_ptr<ProcReader> proc_;
  ProcessNotes* notes_ = nullptr;
};

}  // namespace cicd
