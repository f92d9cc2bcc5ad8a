// SPDX-License-Identifier: Apache-2.0
// JobRegistry: the jobs that an agent watches, and their lives: who may start, end and ask about
// one, and when one ends by itself. What that takes (cgroups, tracker, rules, outputs) it leaves to
// JobKeeping.
//
// A job is registered, and things of this machine are bound to it: the processes of the peer that
// starts it, which get a cgroup of their own (start()), or containers, by the names that their
// cgroups will have (stage()). GitLab's Docker executor has the latter only: such a job is
// registered by name and waits for its first container.
//
// The end of a job takes its time (rows, summary, what the kernel counted) and has it elsewhere:
// this thread goes on. Until that is over the job's slot and name are taken: a job that would get
// one of them begins behind it (when_startable()), all others at once.
//
// Thread: one, the registry's. Lifetime: `keeping` outlives it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "egress/verdict.h"
#include "job/identity.h"
#include "job/summary.h"
#include "rule/rule_set.h"

namespace cicd {

// Who asks, as the kernel has it.
struct JobPeer {
  pid_t pid = 0;
  uid_t uid = 0;
};

// How a project wants its scope to be.
struct ProjectSettings {
  std::optional<int> default_max_alerts;  // of rules that do not say; 0: 10
  bool disable_baseline_rules = false;
  bool monitor_mode = false;
  std::string egress_policy;  // the text of a policy; empty: none
  EgressMode mode = EgressMode::kObserve;
  std::string request;  // the text they were read from, for an agent that takes over
};

struct Refusal {
  enum class Kind : std::uint8_t {
    kInvalid,
    kForbidden,
    kUnknown,
    kConflict,
    kTooLarge,
    kBusy,
    kFailed,
  } kind;
  std::string message;
};
using ResultAnswer = std::function<void(std::expected<std::string, Refusal>)>;

// What a registry needs done. A slot is a number of the kernel side that one job has at a time.
class JobKeeping {
 public:
  virtual ~JobKeeping() = default;
  // The job of a process, 0 when it has none.
  virtual std::uint32_t slot_of(pid_t pid) const = 0;
  // Begins a job in this slot. With a peer, the processes of the job that it is part of are put
  // under observation; without one the job has no processes but those in what is staged for it. An
  // error leaves nothing.
  virtual Result<void> begin(std::uint32_t slot, const JobDescription& job,
                             const std::optional<JobPeer>& peer) = 0;
  // The same for its project only, where the host has no scope. kInvalidInput: as below.
  virtual Result<void> begin_project(std::uint32_t slot, const JobDescription& job,
                                     const JobPeer& peer, const ProjectSettings& settings,
                                     const LoadedRules& rules) = 0;
  // Gives the job a project scope. kInvalidInput: rules that cannot be used.
  virtual Result<void> attach_project(std::uint32_t slot, const ProjectSettings& settings,
                                      const LoadedRules& rules) = 0;
  virtual bool has_scope(std::uint32_t slot, ScopeKind kind) const = 0;
  // Gives the result document (evidence/result_document.h) of a scope that there is, with all that
  // has happened up to now; maybe on another thread and after this has returned.
  virtual void write_result(std::uint32_t slot, ScopeKind kind, ResultAnswer answer) = 0;
  // The cgroup that will get this name is the job's; `is_new`, of a container that has never been
  // started before: also one that has the name already.
  virtual Result<void> stage(std::uint32_t slot, const std::string& basename, bool is_new) = 0;
  // Whether processes of the job live; false also when it has been ended by a rule.
  virtual bool is_alive(std::uint32_t slot) = 0;
  virtual bool is_terminated(std::uint32_t slot) = 0;
  // Grows with what its processes do: what lives too short to be seen alive shows here.
  virtual std::uint64_t acts(std::uint32_t slot) const = 0;
  // Begins to let it go and to write what was found; `done` once that is written and the slot is
  // free, maybe on another thread and after this has returned.
  virtual void end(std::uint32_t slot, const std::string& reason, std::function<void()> done) = 0;
};

struct RegistryOptions {
  std::uint32_t slots = 256;  // 1 .. slots - 1 are given to jobs
  std::chrono::milliseconds job_ttl = std::chrono::hours(24);
  // How long a job may be without a process before it ends: late ones, and between two steps.
  std::chrono::milliseconds grace = std::chrono::seconds(10);
  // How long one that is known by name only may wait for a container that was announced.
  std::chrono::milliseconds registration_grace = std::chrono::minutes(10);
  // How long a job that is to start waits for the end of one that is in its way.
  std::chrono::milliseconds end_patience = std::chrono::seconds(5);
  // A project may start jobs that the host has not.
  bool is_hosted = false;
};

class JobRegistry {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  // Has a task run on the registry's thread. Called on any thread, also when that one is gone: then
  // it does nothing.
  using Post = std::function<void(std::function<void()> task)>;

  JobRegistry(JobKeeping& keeping, const RegistryOptions& options, Post post, Now now = Clock::now)
      : keeping_(keeping), options_(options), post_(std::move(post)), now_(std::move(now)) {}

  // Calls `start`, which starts this job for this peer (0: none): at once, or when the end that is
  // in its way is over (of a job of that name or that process, or where all slots are taken), or
  // has taken too long; then the start is refused as kBusy.
  void when_startable(const JobIdentity& identity, pid_t peer, std::function<void()> start);
  std::expected<void, Refusal> start(const JobDescription& job, const JobPeer& peer);
  // Without a process. Once more is no mistake, and changes nothing.
  std::expected<void, Refusal> register_job(const JobDescription& job);
  // `done` when everything about the job is written, also when there was no such job; not called
  // when it is refused.
  std::expected<void, Refusal> end(const JobIdentity& identity, pid_t peer,
                                   std::function<void()> done);
  std::expected<void, Refusal> start_project(const JobDescription& job, const JobPeer& peer,
                                             const ProjectSettings& settings,
                                             const LoadedRules& rules);
  // Of the project's scope; with `or_host` of the host's where there is no project.
  std::expected<void, Refusal> write_result(const JobIdentity& identity, pid_t peer, bool or_host,
                                            ResultAnswer answer);
  struct Health {
    bool has_host = false;
    bool has_project = false;
  };
  std::expected<Health, Refusal> check_health(const JobIdentity& identity, pid_t peer) const;

  // A container that is about to be started, by the name of its cgroup. It belongs to the job of
  // `client`, who asked for it. Only when that process has none, it belongs to the job that is
  // named, which is registered when it is not there: a job cannot put containers into another one.
  // False: neither. `is_new`: the container has never been started before.
  std::expected<bool, Refusal> stage(const std::string& basename, pid_t client,
                                     const std::optional<JobDescription>& named,
                                     bool is_new = false);

  // The job of a process by its identity_key, "" when it has none; and the slot of a job, 0 when it
  // is over.
  std::string job_of(pid_t pid) const;
  std::uint32_t slot_of_job(const std::string& key) const;

  // Goes on with a job that an agent before this one had begun, `age` ago. `keeping` has it
  // already.
  void restore(std::uint32_t slot, const JobIdentity& identity, bool has_processes,
               std::chrono::milliseconds age);

  // Ends the jobs that are over: call it about once a second.
  void look_after();
  void end_all(const std::string& reason, const std::function<void()>& done_each);

  struct JobView {
    std::uint32_t slot = 0;
    JobIdentity identity;
    std::chrono::seconds age{};
  };
  std::vector<JobView> jobs() const;

 private:
  struct Entry {
    std::uint32_t slot = 0;
    JobIdentity identity;
    Clock::time_point started;
    Clock::time_point last_alive;
    bool has_processes = true;  // of its own; else only containers
    bool awaits_container = false;
    std::uint64_t acts_before = 0;  // that container
  };
  using Entries = std::map<std::string, Entry>;  // by identity_key

  struct Waiting {
    std::string key;
    pid_t peer = 0;
    Clock::time_point until;
    std::function<void()> start;
  };

  bool is_ending(const std::string& key) const;
  bool must_wait(const Waiting& waiting) const;
  void start_waiting();
  void note_ended(std::uint32_t slot);
  std::uint32_t free_slot() const;
  using Begin = std::function<Result<void>(std::uint32_t slot)>;
  std::expected<Entries::iterator, Refusal> add(const JobIdentity& identity, bool has_processes,
                                                const Begin& begin);
  std::expected<Entries::iterator, Refusal> add(const JobDescription& job,
                                                const std::optional<JobPeer>& peer);
  std::expected<void, Refusal> check_free(const JobPeer& peer) const;
  Entries::const_iterator find_slot(std::uint32_t slot) const;
  std::expected<Entries::const_iterator, Refusal> find_for(const JobIdentity& identity,
                                                           pid_t peer) const;
  void finish(Entries::const_iterator entry, const std::string& reason, std::function<void()> done);

  JobKeeping& keeping_;
  const RegistryOptions options_;
  const Post post_;
  const Now now_;
  Entries entries_;
  std::map<std::uint32_t, std::string> endings_;  // slots that are not free yet, and whose they are
  std::vector<Waiting> waiting_;                  // in the order that they came
};

}  // namespace cicd
