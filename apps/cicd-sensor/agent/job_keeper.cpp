// SPDX-License-Identifier: Apache-2.0
#include "agent/job_keeper.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>

#include "base/time_format.h"
#include "evidence/result_document.h"
#include "job/process_tree.h"
#include "rule/baseline.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

// New processes show up while a tree is moved; one that forks faster than this is given up on.
constexpr int kMoveRounds = 200;
// Of one job at a time: whoever asks without end must not keep the closers from the others.
constexpr int kMostResults = 4;
constexpr int kMostParts = 1000;

std::string joined(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity == Diagnostic::Severity::kError) return diagnostic.format();
  }
  return "no reason given";
}

}  // namespace

JobKeeper::JobKeeper(LiveSource& source, Pipeline& pipeline, KeeperOptions options, const Log& log)
    : source_(source),
      pipeline_(pipeline),
      options_(std::move(options)),
      log_(log),
      egress_(source, options_.egress) {
  for (Worker& closer : closers_) {
    closer.start("cicd-closer", [this] {
      while (auto ending = endings_.pop()) {
        (*ending)();
        endings_.done(1);
      }
    });
  }
}

JobKeeper::~JobKeeper() {
  endings_.close();
  for (Worker& closer : closers_) closer.join();
}

std::string JobKeeper::new_cgroup_name() {
  constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::uint32_t bits = random();
  std::string name = "cicd-sensor-job-";
  for (int i = 0; i < 8; ++i, bits >>= 4) name += kHex[bits & 15];
  return name;
}

std::uint32_t JobKeeper::slot_of(pid_t pid) const {
  return pid <= 0 ? 0 : source_.slot_of(static_cast<std::uint32_t>(pid));
}

Result<void> JobKeeper::begin(std::uint32_t slot, const JobDescription& job,
                              const std::optional<JobPeer>& peer) {
  return observe(slot, job, peer,
                 [this](Watched& watched, JobOptions& own) { return add_host(watched, own); });
}

Result<void> JobKeeper::add_host(Watched& watched, JobOptions& job) {
  CompileOptions compiling;
  compiling.scope = {watched.identity.provider_host, watched.identity.project_path};
  compiling.modifiers = options_.rules.rule_modifiers;
  compiling.monitor_mode = options_.is_monitor_mode;
  watched.host_egress = egress_.host_scope(watched.identity, watched.metadata);
  CICD_ASSIGN(job.host, make_scope(watched, "host", options_.rules.rule_sets, compiling,
                                   watched.host_egress));
  return {};
}

Result<void> JobKeeper::begin_project(std::uint32_t slot, const JobDescription& job,
                                      const JobPeer& peer, const ProjectSettings& settings,
                                      const LoadedRules& rules) {
  return observe(slot, job, peer, [&](Watched& watched, JobOptions& own) -> Result<void> {
    CICD_ASSIGN(own.project, make_project(watched, settings, rules));
    return store_of(watched).write_request(settings.request);
  });
}

// Returns the process that the job hangs below.
Result<pid_t> JobKeeper::make_cgroup(Watched& watched, const JobPeer& peer) const {
  const ProcessTree above = ProcessTree::read_above({peer.pid, ::getpid()});
  CICD_ASSIGN(const pid_t root, above.root_of_job(peer.pid, watched.identity.provider, ::getpid()));
  // Everybody may ask; for what others run only root may.
  if (peer.uid != 0 && above.uid_of(root) != peer.uid) {
    return fail(
        ErrorCode::kPermission,
        "process " + std::to_string(root) + " belongs to another user than the one who asks",
        "ask from a process of the job, as the user who runs it");
  }
  CICD_ASSIGN(watched.parent, find_cgroup_of(root));
  CICD_ASSIGN(watched.cgroup, JobCgroup::create(watched.parent, new_cgroup_name()));
  return root;
}

Result<void> JobKeeper::observe(std::uint32_t slot, const JobDescription& job,
                                const std::optional<JobPeer>& peer, const AddScope& add_scope) {
  auto watched = std::make_unique<Watched>();
  watched->identity = job.identity;
  watched->metadata = job.metadata;
  watched->start_time_ns = realtime_now_ns();
  pid_t root = 0;
  if (peer) {
    CICD_ASSIGN(root, make_cgroup(*watched, *peer));
  } else {
    CICD_ASSIGN(watched->parent, find_own_cgroup());
  }
  const std::string key = identity_key(job.identity);
  store_of(*watched).remove();
  if (!peer) keep_earlier_part(key);
  Result<void> begun = prepare(*watched, slot, add_scope);
  if (begun) begun = begin_watching(*watched, slot);
  const bool is_watched = begun.has_value();
  // In force before the first process is in it.
  if (begun) begun = enforce(*watched, slot, false);
  if (begun && peer) begun = move_tree(*watched, slot, root);
  if (!begun && is_watched) let_go(slot);
  if (!begun) {
    undo(*watched);
    return begun;
  }
  egress_.note_sockets(slot);
  log_.info("job_started", {{"job", key},
                            {"root_pid", std::to_string(root)},
                            {"cgroup", watched->cgroup ? watched->cgroup->dir() : ""}});
  watched_[slot] = std::move(watched);
  return {};
}

void JobKeeper::let_go(std::uint32_t slot) {
  Job::End ignored;
  egress_.end(slot, ignored);
  pipeline_.remove(slot);
}

// A job that is known by its containers comes back when there was none of them for too long: what
// was seen before stays, in KEY.1, KEY.2, ...
void JobKeeper::keep_earlier_part(const std::string& key) const {
  const std::string folder = options_.jobs_dir + "/" + key;
  std::error_code error;
  if (!fs::exists(folder + "/host/summary.json", error)) return;
  for (int part = 1; part < kMostParts; ++part) {
    const std::string name = folder + "." + std::to_string(part);
    if (fs::exists(name, error)) continue;
    fs::rename(folder, name, error);
    return;
  }
}

Result<ScopeOptions> JobKeeper::make_scope(Watched& watched, const char* name,
                                           const std::vector<RuleSet>& rule_sets,
                                           const CompileOptions& options,
                                           const ScopeEgress& egress) {
  CompileResult compiled = programs_.compile(rule_sets, options);
  if (!compiled.program) {
    return fail(ErrorCode::kInvalidInput,
                "the rules cannot be used: " + joined(compiled.diagnostics));
  }
  FileSinkOptions files;
  const std::string folder = options_.jobs_dir + "/" + identity_key(watched.identity);
  files.directory = folder + "/" + name;
  files.identity = watched.identity;
  files.metadata = watched.metadata;
  files.scope = name;
  files.runner_type = options_.runner_type;
  files.has_policy = egress.policy != nullptr;
  files.buffers = row_buffers_;
  std::error_code error;
  watched.made_folder = fs::create_directories(folder, error) || watched.made_folder;
  // Of an earlier run with this name; beside rows of this one it would be taken for this one's.
  fs::remove(files.directory + "/summary.json", error);
  CICD_ASSIGN(std::unique_ptr<ScopeSink> sink, make_file_sink(files));
  watched.files[name] = std::move(files);
  ScopeOptions scope;
  scope.program = std::move(compiled.program);
  scope.sink = std::move(sink);
  scope.on_terminate = [termination = watched.termination.get(), is_over = watched.is_over](
                           const EventRecord&, const CompiledRule& rule) {
    if (!is_over->load()) termination->hit(rule);
  };
  scope.rule_warnings = static_cast<std::uint64_t>(std::ranges::count(
      compiled.diagnostics, Diagnostic::Severity::kWarning, &Diagnostic::severity));
  scope.egress = egress;
  return scope;
}

Result<TerminationTarget> JobKeeper::termination_target(const Watched& watched,
                                                        std::uint32_t slot) const {
  TerminationTarget target;
  std::string own_dir;
  if (watched.cgroup) {
    own_dir = watched.cgroup->dir();
    CICD_ASSIGN(target.cgroup, JobCgroup::open(own_dir));
    target.cgroup_path = own_dir.substr(watched.parent.mount_point.size());
  }
  target.refuge_dir = watched.parent.dir;
  target.own = {::getpid()};
  // Once the job is over its slot may be another one's.
  target.tracked = [this, slot, is_over = watched.is_over] {
    return is_over->load() ? std::vector<TrackedProcess>{} : source_.processes(slot);
  };
  target.containers = [this, slot, own_dir, is_over = watched.is_over] {
    std::vector<JobCgroup> out;
    if (is_over->load()) return out;
    for (const TrackedCgroup& cgroup : source_.cgroups(slot)) {
      if (!own_dir.empty() && (cgroup.dir + "/").starts_with(own_dir + "/")) continue;
      auto group = JobCgroup::open(cgroup.dir);
      if (group && group->id() == cgroup.id) out.push_back(std::move(*group));
    }
    return out;
  };
  return target;
}

Result<void> JobKeeper::prepare(Watched& watched, std::uint32_t slot, const AddScope& add_scope) {
  CICD_ASSIGN(TerminationTarget target, termination_target(watched, slot));
  watched.termination = std::make_unique<JobTermination>(
      std::move(target),
      [this, key = identity_key(watched.identity)](const TerminationCause& cause) {
        log_.warn("job_terminating",
                  {{"job", key}, {"ruleset_id", cause.ruleset_id}, {"rule_id", cause.rule_id}});
      });

  JobOptions job;
  job.identity = watched.identity;
  job.metadata = watched.metadata;
  job.runner_type = options_.runner_type;
  job.batches = batches_;
  job.queue_records = Pipeline::kQueueRecords;
  job.backlog = pipeline_.backlog();
  job.evaluator = [this](const JobOptions::Programs& programs) {
    return make_evaluator(programs_.link(programs));
  };
  CICD_TRY(add_scope(watched, job));
  watched.job = std::make_shared<Job>(std::move(job));
  return {};
}

Result<ScopeOptions> JobKeeper::make_project(Watched& watched, const ProjectSettings& settings,
                                             const LoadedRules& rules) {
  LoadedRules own = settings.disable_baseline_rules ? LoadedRules{} : baseline_rules();
  std::ranges::copy(rules.rule_sets, std::back_inserter(own.rule_sets));
  std::ranges::copy(rules.rule_modifiers, std::back_inserter(own.rule_modifiers));
  for (RuleSet& set : own.rule_sets) {
    for (Rule& rule : set.rules) {
      if (rule.max_alerts == 0) rule.max_alerts = settings.default_max_alerts.value_or(0);
    }
  }
  CompileOptions compiling;
  compiling.scope = {watched.identity.provider_host, watched.identity.project_path};
  compiling.modifiers = std::move(own.rule_modifiers);
  compiling.monitor_mode = settings.monitor_mode;
  CICD_ASSIGN(watched.project_egress,
              EgressKeeper::project_scope(watched.identity, watched.metadata, settings));
  auto project = make_scope(watched, "project", own.rule_sets, compiling, watched.project_egress);
  if (project) {
    log_.info("project_started", {{"job", identity_key(watched.identity)},
                                  {"rule_sets", std::to_string(own.rule_sets.size())}});
  }
  return project;
}

Result<void> JobKeeper::attach_project(std::uint32_t slot, const ProjectSettings& settings,
                                       const LoadedRules& rules) {
  Watched& watched = *watched_.at(slot);
  auto made = make_project(watched, settings, rules);
  // The policy first: a scope that cannot be held to it is not attached.
  Result<void> enforced =
      made ? enforce(watched, slot, false) : Result<void>(std::unexpected(made.error()));
  if (!enforced) {
    watched.project_egress = {};
    return enforced;
  }
  ScopeOptions project = std::move(*made);
  const JobStore store = store_of(watched);
  CICD_TRY(store.write_request(settings.request));
  const std::uint64_t at =
      pipeline_.between_blocks(slot, [&] { watched.job->attach_project(std::move(project)); });
  watched.stored.marks.push_back({JournalMark::Kind::kProject, at});
  CICD_TRY(store.write(watched.stored));
  // A file that was opened before is news to the project.
  return pipeline_.report_opens_anew();
}

bool JobKeeper::has_scope(std::uint32_t slot, ScopeKind kind) const {
  const auto found = watched_.find(slot);
  return found != watched_.end() && found->second->job->has_scope(kind);
}

void JobKeeper::write_result(std::uint32_t slot, ScopeKind kind, ResultAnswer answer) {
  const Watched& watched = *watched_.at(slot);
  if (watched.results->fetch_add(1) >= kMostResults) {
    watched.results->fetch_sub(1);
    return answer(std::unexpected(
        Refusal{Refusal::Kind::kBusy, "results of this job are being made already; ask again"}));
  }
  Job::End end;
  end.finalize_reason = "request";
  end.start_time_ns = watched.start_time_ns;
  end.end_time_ns = realtime_now_ns();
  end.source_losses = pipeline_.catch_up(slot);
  // On the job's worker, so before the job and what it has of `watched` is gone.
  auto take = [this, kind, answer, results = watched.results,
               termination = watched.termination.get()](JobSummary summary) {
    if (termination->is_struck()) summary.result = JobResult::kTerminated;
    run_later([kind, answer, results, summary = std::make_shared<JobSummary>(std::move(summary))] {
      auto document = render_result_document(*summary, {.scope = kind});
      results->fetch_sub(1);
      if (document) return answer(std::move(*document));
      answer(
          std::unexpected(Refusal{Refusal::Kind::kTooLarge, "the result is larger than 10 MiB"}));
    });
  };
  if (watched.job->snapshot(kind, std::move(end), std::move(take))) return;
  watched.results->fetch_sub(1);
  answer(std::unexpected(Refusal{Refusal::Kind::kUnknown, "job not found"}));
}

Result<void> JobKeeper::move_tree(const Watched& watched, std::uint32_t slot, pid_t root) const {
  const UniqueFd procs(
      ::open((watched.cgroup->dir() + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs) return fail_errno(errno, "open cgroup.procs of " + watched.cgroup->dir());
  std::set<pid_t> moved;
  int quiet_rounds = 0;  // two of them: a picture can miss one
  for (int round = 0; round < kMoveRounds; ++round) {
    bool any = false;
    for (const pid_t pid : ProcessTree::read_below(root).tree_below(root)) {
      if (!moved.insert(pid).second) continue;
      if (const std::uint32_t owner = slot_of(pid); owner != 0 && owner != slot) {
        return fail(ErrorCode::kInvalidInput,
                    "process " + std::to_string(pid) + " already belongs to another job",
                    "jobs cannot contain each other; end that one first");
      }
      const std::string text = std::to_string(pid);
      if (::write(procs.get(), text.data(), text.size()) > 0) {
        any = true;
      } else if (errno != ESRCH) {
        return fail_errno(errno, "move process " + text + " to " + watched.cgroup->dir());
      }
    }
    quiet_rounds = any ? 0 : quiet_rounds + 1;
    if (quiet_rounds == 2) return {};
  }
  return fail(ErrorCode::kResource, "the job starts processes faster than they can be followed");
}

bool JobKeeper::is_alive(std::uint32_t slot) {
  const auto found = watched_.find(slot);
  if (found == watched_.end()) return false;
  Watched& watched = *found->second;
  if (watched.cgroup && watched.cgroup->is_populated().value_or(false)) return true;
  if (slot_of(watched.known_pid) == slot) return true;
  // Outside of its cgroup.
  const std::vector<TrackedProcess> processes = source_.processes(slot);
  watched.known_pid = processes.empty() ? 0 : static_cast<pid_t>(processes.front().pid);
  return !processes.empty();
}

bool JobKeeper::is_terminated(std::uint32_t slot) {
  const auto found = watched_.find(slot);
  return found != watched_.end() && found->second->termination->is_struck() &&
         found->second->termination->is_done();
}

JobProgress JobKeeper::progress(std::uint32_t slot) const {
  const auto found = watched_.find(slot);
  return found == watched_.end() ? JobProgress{} : found->second->job->progress();
}

Result<void> JobKeeper::stage(std::uint32_t slot, const std::string& basename, bool is_new) {
  CICD_ASSIGN(const auto earlier, pipeline_.stage(slot, basename, is_new));
  if (!earlier) return {};
  constexpr std::uint64_t kMillisecondNs = 1'000'000;
  const std::string problem = "the container of the cgroup " + basename + " was made " +
                              std::to_string(earlier->age_ns / kMillisecondNs) +
                              " ms before it could be watched: " +
                              (earlier->path.empty() ? "it is over, and nothing of it was seen"
                                                     : "what it did until then was not seen");
  log_.warn("container_late", {{"slot", std::to_string(slot)}, {"reason", problem}});
  add_problem(slot, problem);
  return {};
}

void JobKeeper::add_problem(std::uint32_t slot, const std::string& problem) {
  const auto found = watched_.find(slot);
  if (found == watched_.end()) return;
  std::vector<std::string>& problems = found->second->stored.problems;
  if (problems.size() == kMostProblems) return;
  problems.push_back(problem);
  if (problems.size() == kMostProblems) problems.back() = "more; the agent's log has all";
  // The next agent tells them, should this one be killed.
  if (const auto written = store_of(*found->second).write(found->second->stored); !written) {
    log_.warn("job_not_stored", {{"reason", written.error().text}});
  }
}

}  // namespace cicd
