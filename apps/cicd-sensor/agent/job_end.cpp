// SPDX-License-Identifier: Apache-2.0
// JobKeeper: the end of a job, and the way back of one that could not begin. An end runs on a
// closer's thread: what it waits for (processes that a rule ends, the rings, maps of the kernel, a
// disk) no other job's start waits for.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>

#include "agent/job_keeper.h"
#include "base/time_format.h"
#include "job/learn_job.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kRemoveLimit{1'000};

}  // namespace

// On a closer's thread. The queue holds more than there can be; should it be full all the same,
// here and now.
void JobKeeper::run_later(std::function<void()> task) {
  // A push that fails has not moved.
  if (!endings_.push(std::move(task), 1)) task();  // NOLINT(bugprone-use-after-move)
}

void JobKeeper::end(std::uint32_t slot, const std::string& reason, std::function<void()> done) {
  const auto found = watched_.find(slot);
  if (found == watched_.end()) return done();
  const std::shared_ptr<Watched> watched(std::move(found->second));
  watched_.erase(found);
  run_later([this, watched, slot, reason, done = std::move(done)] {
    finish(*watched, slot, reason);
    done();
  });
}

// The rings and the kernel side have nothing of the job any more, and its processes are where they
// came from.
Job::End JobKeeper::take_leave(const Watched& watched, std::uint32_t slot) {
  // A rule that struck meanwhile is not given up: its hunt knows the job's processes by the slot.
  if (watched.termination->is_struck()) watched.termination->wait();
  watched.is_over->store(true);
  Job::End end;
  egress_.end(slot, end);
  Pipeline::Left left = pipeline_.remove(slot);
  give_processes_back(watched);
  merge_losses(end.source_losses, left.losses);
  end.egress_totals = left.egress_totals;
  end.flows = std::move(left.flows);
  end.coverage = std::move(left.coverage);
  end.processes_total = left.activity.processes_seen;
  return end;
}

void JobKeeper::finish(Watched& watched, std::uint32_t slot, const std::string& reason) {
  Job::End end = take_leave(watched, slot);
  end.finalize_reason = reason;
  end.start_time_ns = watched.start_time_ns;
  end.end_time_ns = realtime_now_ns();
  end.sensor_restarts = watched.stored.restarts;
  std::ranges::copy(watched.stored.problems, std::back_inserter(end.problems));
  JobSummaries summaries = watched.job->finish(end);
  watched.job.reset();
  remove_cgroup(watched);
  // Once a job, by the scope that asks for it; the host's sees what the project's does.
  if (summaries.host && watched.host_egress.mode == EgressMode::kLearn) {
    remember_destinations(options_.state_dir, *summaries.host);
  } else if (summaries.project && watched.project_egress.mode == EgressMode::kLearn) {
    remember_destinations(options_.state_dir, *summaries.project);
  }
  if (summaries.host) write(watched, "host", *summaries.host);
  if (summaries.project) write(watched, "project", *summaries.project);
  store_of(watched).remove();
  forget_old_jobs();
}

void JobKeeper::write(const Watched& watched, const char* scope, JobSummary& summary) const {
  if (watched.termination->is_struck()) {
    watched.termination->wait();
    summary.set_terminated(watched.termination->summary());
  }
  const FileSinkOptions& files = watched.files.at(scope);
  if (const auto written = write_summary(files, summary); !written) {
    log_.error("summary_not_written",
               {{"directory", files.directory}, {"reason", written.error().text}});
  }
  log_.info("job_ended", {{"job", identity_key(watched.identity)},
                          {"scope", scope},
                          {"finalize_reason", summary.finalize_reason},
                          {"result", name_of(summary.result)},
                          {"events", std::to_string(summary.events_total)},
                          {"dropped", std::to_string(summary.events_dropped)}});
}

// Folders with a summary are of jobs that are over.
void JobKeeper::forget_old_jobs() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> over;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(options_.jobs_dir, error)) {
    // On hosted runners a job may be the project's only.
    for (const char* summary : {"host/summary.json", "project/summary.json"}) {
      const auto time = fs::last_write_time(folder.path() / summary, error);
      if (error) continue;
      over.emplace_back(time, folder.path());
      break;
    }
  }
  if (over.size() <= options_.keep_jobs) return;
  std::ranges::sort(over);
  over.resize(over.size() - options_.keep_jobs);
  for (const auto& [time, folder] : over) fs::remove_all(folder, error);
}

void JobKeeper::undo(Watched& watched) const {
  store_of(watched).remove();
  if (watched.job) watched.job->finish({});
  watched.job.reset();
  give_processes_back(watched);
  remove_cgroup(watched);
  std::error_code error;
  if (watched.made_folder) {
    fs::remove_all(options_.jobs_dir + "/" + identity_key(watched.identity), error);
  }
}

void JobKeeper::give_processes_back(const Watched& watched) const {
  if (!watched.cgroup) return;
  const auto moved = watched.cgroup->move_processes_to(watched.parent.dir);
  if (moved) return;
  log_.warn("processes_not_given_back",
            {{"cgroup", watched.cgroup->dir()}, {"reason", moved.error().text}});
}

// A process that ends right now keeps its cgroup for a moment.
void JobKeeper::remove_cgroup(const Watched& watched) const {
  if (!watched.cgroup) return;
  const auto end = std::chrono::steady_clock::now() + kRemoveLimit;
  for (;;) {
    const auto removed = watched.cgroup->remove();
    if (removed) return;
    if (std::chrono::steady_clock::now() >= end) {
      log_.warn("cgroup_left",
                {{"cgroup", watched.cgroup->dir()}, {"reason", removed.error().text}});
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace cicd
