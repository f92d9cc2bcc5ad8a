// SPDX-License-Identifier: Apache-2.0
// FileSink: writes a scope's rows to events.jsonl, detections.jsonl and, when the scope has an
// egress policy, violations.jsonl in a directory, and summary.json at the end. Rows have the log
// format of docs/reference/log-format.md.
//
// Thread: the job's worker. Loss: a row that cannot be written (disk full) is counted, the job goes
// on, and the file ends in a complete row.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "evidence/output_directory.h"
#include "evidence/row_file.h"
#include "job/identity.h"
#include "job/scope_sink.h"
#include "job/summary.h"

namespace cicd {

struct FileSinkOptions {
  std::string directory;  // made when missing
  JobIdentity identity;
  JobMetadata metadata;
  std::string scope = "project";
  std::string runner_type = "machine";
  bool redact_process_args = true;
  bool has_policy = false;                      // of egress: the file of its violations is made
  std::shared_ptr<RowBufferPool> buffers = {};  // null: the files have some of their own
  // Owner of the files; -1: leave.
  int owner_uid = -1;
  int owner_gid = -1;
};

// The error tells a directory that is a file, is not writable or has no room apart.
Result<std::unique_ptr<ScopeSink>> make_file_sink(const FileSinkOptions& options);

// The folder of the files, with the rights that are right for it.
Result<OutputDirectory> open_output_directory(const FileSinkOptions& options);

// Writes summary.json whole or not at all (temporary file, then rename).
Result<void> write_summary(const FileSinkOptions& options, const JobSummary& summary);

}  // namespace cicd
