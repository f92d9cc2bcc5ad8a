// SPDX-License-Identifier: Apache-2.0
// JobKeeper: what it keeps of a job for the next agent, and how it goes on with one that is kept.
#include <algorithm>
#include <filesystem>

#include "agent/job_keeper.h"
#include "base/time_format.h"
#include "listener/project_request.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

// Ids of a cgroup and all below it.
std::vector<std::uint64_t> cgroups_below(const std::string& dir) {
  std::vector<std::uint64_t> ids;
  const auto add = [&](const std::string& path) {
    if (const auto cgroup = JobCgroup::open(path)) ids.push_back(cgroup->id());
  };
  if (dir.empty()) return ids;
  add(dir);
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(dir, error); !error && at != fs::end(at);
       at.increment(error)) {
    if (at->is_directory(error)) add(at->path());
  }
  return ids;
}

}  // namespace

JobLane JobKeeper::lane_of(const Watched& watched) const {
  JobLane lane;
  lane.slot = watched.stored.slot;
  lane.job = watched.job;
  lane.cgroup_id = watched.stored.cgroup_id;
  lane.cgroup_path = watched.stored.cgroup_path;
  lane.on_journal_end = [this, store = store_of(watched),
                         key = identity_key(watched.identity)](const Error& error) {
    store.note_journal_ended();
    log_.warn("journal_ended", {{"job", key}, {"reason", error.text}});
  };
  return lane;
}

Result<void> JobKeeper::begin_watching(Watched& watched, std::uint32_t slot) {
  const JobStore store = store_of(watched);
  StoredJob& stored = watched.stored;
  stored.identity = watched.identity;
  stored.metadata = watched.metadata;
  stored.slot = slot;
  stored.parent = watched.parent;
  if (watched.cgroup) {
    const std::string& dir = watched.cgroup->dir();
    stored.cgroup_dir = dir;
    stored.cgroup_id = watched.cgroup->id();
    stored.cgroup_path =
        (watched.parent.path == "/" ? "" : watched.parent.path) + dir.substr(dir.rfind('/'));
  }
  stored.start_time_ns = watched.start_time_ns;
  stored.made_folder = watched.made_folder;
  stored.boot_id = current_boot_id();
  stored.has_host = watched.files.contains("host");
  JobLane lane = lane_of(watched);
  CICD_ASSIGN(lane.notes, ProcessNotes::create(store.notes_path()));
  RecordingInfo info;
  info.clock = source_.clock();
  info.slot = slot;
  info.root_cgroup_id = stored.cgroup_id;
  CICD_ASSIGN(RecordingWriter journal, RecordingWriter::create(store.journal_path(), info));
  lane.journal = std::make_unique<RecordingWriter>(std::move(journal));
  CICD_TRY(pipeline_.add(lane));
  stored.losses_before = pipeline_.losses_before(slot);
  const Result<void> written = store.write(stored);
  if (!written) pipeline_.remove(slot);
  return written;
}

Result<ScopeOptions> JobKeeper::project_of(Watched& watched, const JobStore& store) {
  CICD_ASSIGN(const std::string body, store.read_request());
  CICD_ASSIGN(const ProjectStartCall call, read_project_request(body));
  return make_project(watched, call.settings, call.rules);
}

// What is not in the journal, in its place there.
Result<std::vector<JournalStep>> JobKeeper::steps_of(Watched& watched, const JobStore& store) {
  std::vector<JournalStep> steps;
  for (const JournalMark& mark : watched.stored.marks) {
    if (mark.kind == JournalMark::Kind::kGap) {
      steps.push_back({.at_bytes = mark.at_bytes, .gap = mark.gap});
      continue;
    }
    CICD_ASSIGN(ScopeOptions scope, project_of(watched, store));
    auto attach = [job = watched.job, own = std::make_shared<ScopeOptions>(std::move(scope))] {
      job->attach_project(std::move(*own));
    };
    steps.push_back({.at_bytes = mark.at_bytes, .act = std::move(attach)});
  }
  return steps;
}

// Of a job that is over the cgroup may be gone: an empty one stands for it until that is noticed.
Result<void> JobKeeper::find_cgroup(Watched& watched) {
  if (watched.stored.cgroup_dir.empty()) return {};  // it never had one
  auto cgroup = JobCgroup::open(watched.stored.cgroup_dir);
  if (!cgroup) {
    CICD_ASSIGN(watched.parent, find_own_cgroup());
    cgroup = JobCgroup::create(watched.parent, new_cgroup_name());
    if (!cgroup) return std::unexpected(std::move(cgroup).error());
  }
  watched.cgroup = std::move(*cgroup);
  return {};
}

Result<void> JobKeeper::restore(const JobStore& store, StoredJob stored) {
  auto watched = std::make_unique<Watched>();
  watched->identity = stored.identity;
  watched->metadata = stored.metadata;
  watched->start_time_ns = stored.start_time_ns;
  watched->made_folder = stored.made_folder;
  watched->parent = stored.parent;
  const std::uint32_t slot = stored.slot;
  watched->stored = std::move(stored);
  CICD_TRY(find_cgroup(*watched));
  Result<void> restored =
      prepare(*watched, slot, [&](Watched& own, JobOptions& job) -> Result<void> {
        if (own.stored.has_host) return add_host(own, job);
        CICD_ASSIGN(job.project, project_of(own, store));
        return {};
      });
  if (restored) restored = follow_journal(*watched, store);
  if (!restored) {
    undo(*watched);
    store.remove();
    return restored;
  }
  watched_[slot] = std::move(watched);
  return {};
}

Result<void> JobKeeper::follow_journal(Watched& watched, const JobStore& store) {
  const std::uint32_t slot = watched.stored.slot;
  std::vector<std::string>& problems = watched.stored.problems;
  const std::size_t told_before = problems.size();
  CICD_ASSIGN(const std::vector<JournalStep> steps, steps_of(watched, store));
  JobLane lane = lane_of(watched);
  CICD_ASSIGN(lane.notes, ProcessNotes::resume(store.notes_path()));
  const Pipeline::Restored restored =
      pipeline_.restore(lane, store.journal_path(), steps, watched.stored.losses_before);
  ++watched.stored.restarts;
  if (!source_.pins().is_adopted) {
    const Result<void> tracked = pipeline_.watch(slot, cgroups_below(watched.stored.cgroup_dir));
    if (!tracked) problems.push_back(tracked.error().text);
  }
  note_gap(watched, store, restored);
  // Until now the kernel went on to deny, and nobody answered names.
  if (const Result<void> enforced = enforce(watched, slot, source_.pins().is_adopted); !enforced) {
    problems.push_back("the egress policy is not in force since the agent was restarted: " +
                       enforced.error().text);
    log_.error("policy_not_enforced", {{"reason", enforced.error().text}});
  }
  if (const Result<void> written = store.write(watched.stored); !written) {
    log_.warn("job_not_stored", {{"reason", written.error().text}});
  }
  log_.info("job_restored", {{"job", identity_key(watched.identity)},
                             {"restarts", std::to_string(watched.stored.restarts)},
                             {"gap", problems.size() == told_before ? "no" : problems.back()}});
  return {};
}

// Whether anything may have been missed since the agent before this one, and what the job says.
void JobKeeper::note_gap(Watched& watched, const JobStore& store,
                         const Pipeline::Restored& restored) {
  const PinReport pins = source_.pins();
  const bool is_incomplete = store.has_journal_ended() || !restored.journal;
  if (pins.is_adopted && pins.attached_anew == 0 && !is_incomplete) return;
  if (is_incomplete) {
    watched.stored.problems.push_back(
        "the agent was restarted, and what it had kept of the job was not complete" +
        (restored.journal ? std::string() : ": " + restored.journal.error().text));
  } else {
    watched.stored.problems.push_back(
        "the agent was restarted, and this kernel did not go on watching meanwhile");
  }
  const std::uint64_t last_ns = std::max(restored.last_ns, watched.start_time_ns);
  const MonitoringGap gap{is_incomplete ? "journal_incomplete" : "sensor_restarted", last_ns,
                          realtime_now_ns()};
  pipeline_.add_gap(watched.stored.slot, gap);
  const std::uint64_t at = pipeline_.between_blocks(watched.stored.slot, [] {});
  watched.stored.marks.push_back({JournalMark::Kind::kGap, at, gap});
}

}  // namespace cicd
