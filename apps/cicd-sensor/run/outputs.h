// SPDX-License-Identifier: Apache-2.0
// Outputs: the files and reports that `run` leaves. Thread: the pipeline thread of the engine.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "evidence/file_sink.h"
#include "job/command_user.h"
#include "job/job.h"
#include "report/report_model.h"
#include "run/run_options.h"

namespace cicd {

// Whether --fail-on asks for exit code 90.
bool has_struck(const JobSummary& summary, FailOn fail_on);

// While it lives, the calling thread has the rights that are right for a file's folder: the owner's
// where the owner may change the folder (and could put a link there), else our own.
class FolderRights {
 public:
  FolderRights(const std::string& file, const CommandUser& owner);

 private:
  std::optional<ActAs> as_owner_;
};

void remove_file_of(const std::string& path, const CommandUser& owner);

class Outputs {
 public:
  // Makes the folder and the row files. The error is why that cannot be.
  static Result<Outputs> open(const RunOptions& options, const std::string& run_id,
                              const CommandUser& owner);

  // Once: the Job takes the sink over.
  JobOptions job_options(std::shared_ptr<const Program> program);
  // summary.json, report.html and the terminal report. The Job's worker must have ended. Says on
  // standard error what could not be written. In mode learn the destinations are remembered first;
  // what came of that goes into the summary.
  void write(JobSummary& summary) const;
  // Removes what open() made; the Job must be gone.
  void discard() const;

 private:
  Outputs() = default;
  Result<void> write_html(const JobSummary& summary) const;
  std::vector<std::string> files_written(bool has_summary, bool has_html) const;

  const RunOptions* options_ = nullptr;
  CommandUser owner_;
  FileSinkOptions files_;
  std::unique_ptr<ScopeSink> sink_;
  std::shared_ptr<ReportModel> model_;  // filled by the sink; null: no HTML report is wanted
  bool made_folder_ = false;
};

}  // namespace cicd
