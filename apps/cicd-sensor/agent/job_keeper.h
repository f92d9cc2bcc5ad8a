// SPDX-License-Identifier: Apache-2.0
// JobKeeper: what it takes to watch a job on this machine: a cgroup of its own for its processes, a
// slot of the kernel side, rules, outputs, and the way back when it ends.
//
// Which processes: those below the root of the job (process_tree.h), in a new cgroup below the one
// they are in; so a cgroup that others share, or that the agent is in, is never taken for a job's.
// Order: the cgroup is watched before the first process is moved into it. A job without a peer has
// no cgroup of its own: all it has are the cgroups of containers that are staged for it.
//
// What an agent that is killed leaves is in the job's folder (job_store.h); restore() goes on with
// it (job_restore.cpp). How a job ends: job_end.cpp.
//
// Threads: begin(), restore(), is_alive(), is_terminated(), end() on the registry's thread;
// slot_of() on any; ends and result documents on a few of its own, the closers: an end is all one
// of them does meanwhile, and one that hangs leaves the others. Lifetime: source and pipeline
// outlive it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/egress_keeper.h"
#include "agent/job_store.h"
#include "agent/pipeline.h"
#include "base/bounded_queue.h"
#include "base/log.h"
#include "base/worker.h"
#include "evidence/file_sink.h"
#include "job/job.h"
#include "job/job_cgroup.h"
#include "job/job_registry.h"
#include "job/job_termination.h"
#include "rule/program_cache.h"
#include "rule/rule_set.h"

namespace cicd {

struct KeeperOptions {
  std::string state_dir;
  std::string jobs_dir;  // a folder a job, named by its identity_key
  std::string runner_type = "machine";
  LoadedRules rules;  // of the host
  bool is_monitor_mode = false;
  HostEgress egress;
  std::size_t keep_jobs = 50;  // folders of jobs that are over; the oldest go first
};

class JobKeeper final : public JobKeeping {
 public:
  JobKeeper(LiveSource& source, Pipeline& pipeline, KeeperOptions options, const Log& log);
  ~JobKeeper() override;

  std::uint32_t slot_of(pid_t pid) const override;
  Result<void> begin(std::uint32_t slot, const JobDescription& job,
                     const std::optional<JobPeer>& peer) override;
  // Goes on with a job of an agent that was killed. An error leaves nothing of it.
  Result<void> restore(const JobStore& store, StoredJob stored);
  Result<void> begin_project(std::uint32_t slot, const JobDescription& job, const JobPeer& peer,
                             const ProjectSettings& settings, const LoadedRules& rules) override;
  Result<void> attach_project(std::uint32_t slot, const ProjectSettings& settings,
                              const LoadedRules& rules) override;
  bool has_scope(std::uint32_t slot, ScopeKind kind) const override;
  void write_result(std::uint32_t slot, ScopeKind kind, ResultAnswer answer) override;
  Result<void> stage(std::uint32_t slot, const std::string& basename, bool is_new) override;
  bool is_alive(std::uint32_t slot) override;
  bool is_terminated(std::uint32_t slot) override;
  std::uint64_t acts(std::uint32_t slot) const override {
    const JobProgress so_far = progress(slot);
    return so_far.events + so_far.dropped;
  }
  void end(std::uint32_t slot, const std::string& reason, std::function<void()> done) override;

  // One sentence for the job's summary, which has no more than kMostProblems.
  static constexpr std::size_t kMostProblems = 100;
  void add_problem(std::uint32_t slot, const std::string& problem);

  JobProgress progress(std::uint32_t slot) const;

 private:
  struct Watched {
    JobIdentity identity;
    JobMetadata metadata;
    CgroupPlace parent;               // of the job's cgroup; the agent's own when it has none
    std::optional<JobCgroup> cgroup;  // of its own
    pid_t known_pid = 0;              // was a process of it when we looked last
    std::map<std::string, FileSinkOptions> files;  // by scope
    ScopeEgress host_egress, project_egress;
    bool made_folder = false;
    std::uint64_t start_time_ns = 0;
    StoredJob stored;  // what the next agent needs
    std::shared_ptr<std::atomic<bool>> is_over = std::make_shared<std::atomic<bool>>(false);
    // Result documents that are being made.
    std::shared_ptr<std::atomic<int>> results = std::make_shared<std::atomic<int>>(0);
    std::unique_ptr<JobTermination> termination;  // the job's worker uses it
    std::shared_ptr<Job> job;
  };

  JobStore store_of(const Watched& watched) const {
    return JobStore(options_.jobs_dir + "/" + identity_key(watched.identity));
  }
  Result<void> begin_watching(Watched& watched, std::uint32_t slot);
  JobLane lane_of(const Watched& watched) const;
  static std::string new_cgroup_name();
  static Result<void> find_cgroup(Watched& watched);
  Result<void> add_host(Watched& watched, JobOptions& job);
  Result<ScopeOptions> project_of(Watched& watched, const JobStore& store);
  Result<std::vector<JournalStep>> steps_of(Watched& watched, const JobStore& store);
  Result<void> follow_journal(Watched& watched, const JobStore& store);
  void note_gap(Watched& watched, const JobStore& store, const Pipeline::Restored& restored);
  // Makes the scopes that a job begins with.
  using AddScope = std::function<Result<void>(Watched& watched, JobOptions& job)>;
  Result<void> observe(std::uint32_t slot, const JobDescription& job,
                       const std::optional<JobPeer>& peer, const AddScope& add_scope);
  Result<void> prepare(Watched& watched, std::uint32_t slot, const AddScope& add_scope);
  Result<ScopeOptions> make_project(Watched& watched, const ProjectSettings& settings,
                                    const LoadedRules& rules);
  Result<pid_t> make_cgroup(Watched& watched, const JobPeer& peer) const;
  Result<TerminationTarget> termination_target(const Watched& watched, std::uint32_t slot) const;
  void let_go(std::uint32_t slot);
  void keep_earlier_part(const std::string& key) const;
  Result<ScopeOptions> make_scope(Watched& watched, const char* name,
                                  const std::vector<RuleSet>& rule_sets,
                                  const CompileOptions& options, const ScopeEgress& egress);
  Result<void> enforce(const Watched& watched, std::uint32_t slot, bool adopts) {
    return egress_.enforce(slot, watched.host_egress, watched.project_egress, adopts);
  }
  Result<void> move_tree(const Watched& watched, std::uint32_t slot, pid_t root) const;
  void run_later(std::function<void()> task);
  void undo(Watched& watched) const;
  Job::End take_leave(const Watched& watched, std::uint32_t slot);
  void finish(Watched& watched, std::uint32_t slot, const std::string& reason);
  void write(const Watched& watched, const char* scope, JobSummary& summary) const;
  void give_processes_back(const Watched& watched) const;
  void remove_cgroup(const Watched& watched) const;
  void forget_old_jobs() const;

  LiveSource& source_;
  Pipeline& pipeline_;
  const KeeperOptions options_;
  const Log& log_;
  ProgramCache programs_;
  EgressKeeper egress_;
  // What the jobs share, so that none grows buffers of its own for a moment's work.
  const std::shared_ptr<BatchPool> batches_ = std::make_shared<BatchPool>(pipeline_.blocks());
  const std::shared_ptr<RowBufferPool> row_buffers_ =
      std::make_shared<RowBufferPool>(kRowBufferPoolBytes);
  std::map<std::uint32_t, std::unique_ptr<Watched>> watched_;  // by slot
  BoundedQueue<std::function<void()>> endings_{4096};
  std::array<Worker, 4> closers_;  // last: they use all of the above
};

}  // namespace cicd
