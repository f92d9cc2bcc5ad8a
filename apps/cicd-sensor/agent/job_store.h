// SPDX-License-Identifier: Apache-2.0
// JobStore: what an agent keeps of a running job in the job's folder, so that the next agent can go
// on with it when this one is killed. Gone when the job is over.
//
//   job.json              which job, its slot and cgroup; what happened where in the journal
//   journal               the samples (kernel/recording.h)
//   processes.jsonl       processes from before the job (process_notes.h)
//   project-request.json  the request that began the project scope
//   journal-ended         there when the journal could not be written to its end
//
// The folder is the agent's own: nobody else may write there. Threads: one at a time for a job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/identity.h"
#include "job/job_cgroup.h"
#include "job/monitoring_gap.h"
#include "kernel/loss.h"

namespace cicd {

// Something that is not in the journal, and where it belongs.
struct JournalMark {
  enum class Kind : std::uint8_t { kProject, kGap } kind = Kind::kGap;
  std::uint64_t at_bytes = 0;  // of the journal; before what follows there
  MonitoringGap gap = {};      // of kGap
};

struct StoredJob {
  JobIdentity identity;
  JobMetadata metadata;
  std::uint32_t slot = 0;
  CgroupPlace parent;  // of its cgroup
  std::string cgroup_dir;
  std::string cgroup_path;  // below the root of the hierarchy
  std::uint64_t cgroup_id = 0;
  std::uint64_t start_time_ns = 0;  // CLOCK_REALTIME
  bool made_folder = false;
  std::string boot_id;   // of the kernel: times of samples mean nothing to another one
  bool has_host = true;  // else it began with a project scope
  std::vector<LossEntry> losses_before;  // what the kernel side had counted for all at its start
  std::uint64_t restarts = 0;            // of the agent, during the job
  std::vector<JournalMark> marks;        // in order of at_bytes
  std::vector<std::string> problems;     // for the job's summary
};

class JobStore {
 public:
  explicit JobStore(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string journal_path() const { return folder_ + "/journal"; }
  std::string notes_path() const { return folder_ + "/processes.jsonl"; }
  std::string request_path() const { return folder_ + "/project-request.json"; }

  // Whole or not at all.
  Result<> write(const StoredJob& job) const;
  Result<> write_request(const std::string& body) const;
  Result<StoredJob> read() const;
  Result<std::string> read_request() const;

  void note_journal_ended() const;
  bool has_journal_ended() const;

  // The job is over.
  void remove() const;

 private:
  Result<> write_file(const std::string& path, const std::string& text) const;

  std::string folder_;
};

// Tells one start of the machine from another; "" when /proc does not say.
std::string current_boot_id();

// The jobs of an agent that was killed, below the folder with a folder for each job.
std::vector<JobStore> stored_jobs(const std::string& jobs_dir);

}  // namespace cicd
