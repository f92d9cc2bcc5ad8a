// SPDX-License-Identifier: Apache-2.0
// RunState: the file that says what a running job has made, so that a later run can remove it when
// every process of this one was killed at once.
//
// How it cannot leak: the file is made without a name and locked, then the engine is forked, and
// only then is it linked to its name. The lock belongs to the open file that front and engine
// share; it is free exactly when both are gone. Nothing else is made before the file has its name.
//
// Threads: one. Lifetime: an object does not remove the file when it goes; remove() does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "job/command_user.h"
#include "job/identity.h"

namespace cicd {

// What it takes to make the outputs of a run from its journal when nobody of it is left.
struct RunRecipe {
  std::vector<std::string> arguments;  // of cicd-sensor; empty: it cannot be done
  std::string folder;                  // that it was called in
  std::string owner_uid;               // of the outputs; empty: the caller
  std::string owner_gid;
  std::uint64_t start_time_ns = 0;  // CLOCK_REALTIME
  std::optional<JobDescription> ci_job = {};
};

// Names of everything one run makes, known before any of it exists.
struct RunNames {
  std::string id;              // "<pid>-<8 hex digits>"
  std::string cgroup_dir;      // in the file system
  std::string cgroup_path;     // the same below the root of the hierarchy
  std::string parent_dir;      // cgroup of the caller
  std::string journal;         // absolute
  bool keeps_journal = false;  // it is the user's --record file
  RunRecipe recipe;
};

// The part of a name after the last slash that every cgroup of ours begins with.
inline constexpr char kRunCgroupPrefix[] = "cicd-sensor-run-";

class RunState {
 public:
  // `directory`: where state files are; made when missing (0700).
  static Result<RunState> prepare(const std::string& directory, const RunNames& names);

  Result<void> publish();  // gives the file its name
  void remove();           // takes it away; may be called twice, and by both processes

 private:
  RunState() = default;
  UniqueFd fd_;
  std::string path_;
  bool is_published_ = false;
};

// Removes the job's cgroup (what still runs in it is moved to the caller's), the journal when it is
// not to be kept, and the state file. May be done twice and by both processes. The error names what
// could not be removed.
Result<void> remove_run(const RunNames& names, RunState& state, const CommandUser& owner);

// Where state files of this user's runs are.
std::string run_state_directory();

struct CleanedRun {
  std::string id;
  bool is_populated = false;  // its command still runs; left for the next time
  bool is_finished = false;   // its outputs were made from its journal
  std::string output_dir;     // where its rows are; empty when not known
};
// Makes the outputs of a dead run (finish_dead_run.h); whether it did.
using FinishRun = std::function<bool(const RunNames&)>;
// Removes what runs have left whose processes are all gone. Never touches a run that lives, or a
// cgroup with a process in it.
std::vector<CleanedRun> clean_dead_runs(const std::string& directory, const FinishRun& finish = {});

}  // namespace cicd
