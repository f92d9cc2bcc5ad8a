// SPDX-License-Identifier: Apache-2.0
// EgressGuard: puts the policies of jobs in force on this machine: their rules in the kernel, and
// the resolver that their questions for names are turned to. One per process.
//
// Order, which is what makes it tight: the addresses and rules are there and the resolver listens
// before the policy that turns questions to it; the policy is in force when begin() returns, and
// the job's first instruction comes after that.
//
// When this process is killed the kernel goes on to deny, as long as what was attached stays
// attached; the next one begins with adopts = true and takes over the addresses that are open.
//
// Threads: any; of one slot one at a time. Lifetime: `control` outlives it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "egress/job_egress.h"
#include "egress/job_namespaces.h"
#include "egress/resolver.h"
#include "kernel/egress_control.h"

namespace cicd {

class EgressGuard {
 public:
  // Listens in the caller's network namespace, and in those that jobs come to (job_namespaces.h).
  // Allowed names that lead to an address of the inside are told to `control`.
  static Result<std::unique_ptr<EgressGuard>> start(EgressControl& control);
  ~EgressGuard();
  EgressGuard(const EgressGuard&) = delete;
  EgressGuard& operator=(const EgressGuard&) = delete;

  // An error leaves the slot without a policy; a job that is to be held to one must not start.
  Result<> begin(std::uint32_t slot, std::shared_ptr<const JobEgress> egress, bool adopts);
  // Another policy from now on, when a scope joins. Nothing is open in between that neither allows.
  Result<> replace(std::uint32_t slot, std::shared_ptr<const JobEgress> egress);
  // The resolver serves the job no more. The kernel side is its owner's to clear.
  ResolverCounters end(std::uint32_t slot);

 private:
  class Events;
  EgressGuard(EgressControl& control, std::unique_ptr<Events> events);

  EgressControl& control_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<Resolver> resolver_;  // after events_, which it calls
  std::unique_ptr<JobNamespaces> namespaces_;
  std::mutex mutex_;
  std::map<std::uint32_t, std::shared_ptr<const JobEgress>> jobs_;  // under mutex_
};

}  // namespace cicd
