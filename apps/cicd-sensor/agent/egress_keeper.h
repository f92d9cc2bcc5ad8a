// SPDX-License-Identifier: Apache-2.0
// EgressKeeper: the egress policies of an agent's jobs. The host's is the agent's own, a project's
// comes with its request; a job that is to be held to one does not start when that cannot be done.
//
// Threads: any; of one slot one at a time. Lifetime: source outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "egress/egress_guard.h"
#include "job/identity.h"
#include "job/job.h"
#include "job/job_registry.h"
#include "kernel/live_source.h"

namespace cicd {

struct HostEgress {
  std::shared_ptr<const PolicyDocument> policy;  // null: none
  EgressMode mode = EgressMode::kObserve;
};
// Reads the policy that the agent is started with. An error says all that is wrong with it.
Result<HostEgress> load_host_egress(const std::string& path, EgressMode mode);

class EgressKeeper {
 public:
  EgressKeeper(LiveSource& source, HostEgress host) : source_(source), host_(std::move(host)) {}

  ScopeEgress host_scope(const JobIdentity& identity, const JobMetadata& metadata) const;
  // kInvalidInput: the policy of the request, with the first mistake in it.
  static Result<ScopeEgress> project_scope(const JobIdentity& identity, const JobMetadata& metadata,
                                           const ProjectSettings& settings);

  // Puts the policies of a job in force, or in the place of those that were; nothing to do when
  // none of them denies or audits. `adopts`: the kernel has them from an agent before this one.
  Result<> enforce(std::uint32_t slot, const ScopeEgress& host, const ScopeEgress& project,
                   bool adopts);
  // Sockets that the job's processes had before it began.
  void note_sockets(std::uint32_t slot);
  // The job is over; what the resolver had to say of it. Before the slot is let go.
  void end(std::uint32_t slot, Job::End& end);

 private:
  Result<EgressGuard*> guard();
  bool is_held(std::uint32_t slot);

  LiveSource& source_;
  const HostEgress host_;
  std::mutex mutex_;  // of both; not held while a policy is put in force or let go
  std::unique_ptr<EgressGuard> guard_;  // null: no job has needed it
  std::set<std::uint32_t> held_;        // slots with a policy in force
};

}  // namespace cicd
