// SPDX-License-Identifier: Apache-2.0
#include "egress/egress_guard.h"

#include <utility>

#include "egress/job_name_judge.h"

namespace cicd {

class EgressGuard::Events final : public ResolverEvents {
 public:
  explicit Events(EgressControl& control) : control_(control) {}
  // Other questions are in the job's events, where its policy judges them as the resolver did.
  void name_denied(const DeniedName& name) override {
    if (name.why != NameRefusal::kRebinding) return;
    control_.tell({.client = name.client,
                   .name = name.name,
                   .ip = name.ip,
                   .scopes = name.scopes,
                   .is_audit = name.is_audit});
  }
  void name_resolved(const ResolvedName& /*name*/) override {}

 private:
  EgressControl& control_;
};

EgressGuard::EgressGuard(EgressControl& control, std::unique_ptr<Events> events)
    : control_(control), events_(std::move(events)) {}

EgressGuard::~EgressGuard() = default;

Result<std::unique_ptr<EgressGuard>> EgressGuard::start(EgressControl& control) {
  std::unique_ptr<EgressGuard> guard(new EgressGuard(control, std::make_unique<Events>(control)));
  control.stop_serving_all();  // sockets of a process before this one have gone with it
  CICD_ASSIGN(guard->resolver_, Resolver::start(control, *guard->events_));
  guard->namespaces_ = std::make_unique<JobNamespaces>(control, *guard->resolver_);
  CICD_TRY(guard->namespaces_->start());
  return guard;
}

Result<> EgressGuard::begin(std::uint32_t slot, std::shared_ptr<const JobEgress> egress,
                            bool adopts) {
  CICD_TRY(resolver_->add_job(slot, std::make_shared<JobNameJudge>(egress), adopts));
  namespaces_->add_job(slot);
  if (Result<> installed = egress->install(control_, slot, resolver_->port()); !installed) {
    namespaces_->remove_job(slot);
    resolver_->remove_job(slot);
    return installed;
  }
  const std::lock_guard lock(mutex_);
  jobs_[slot] = std::move(egress);
  return {};
}

Result<> EgressGuard::replace(std::uint32_t slot, std::shared_ptr<const JobEgress> egress) {
  std::shared_ptr<const JobEgress> before;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = jobs_.find(slot); found != jobs_.end()) before = found->second;
  }
  if (!before) return begin(slot, std::move(egress), false);
  CICD_TRY(resolver_->replace_policy(slot, std::make_shared<JobNameJudge>(egress)));
  CICD_TRY(egress->install(control_, slot, resolver_->port(), before.get()));
  const std::lock_guard lock(mutex_);
  jobs_[slot] = std::move(egress);
  return {};
}

ResolverCounters EgressGuard::end(std::uint32_t slot) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.erase(slot);
  }
  const JobNamespaces::Counters namespaces = namespaces_->remove_job(slot);
  ResolverCounters counters = resolver_->remove_job(slot);
  counters.namespaces_too_many = namespaces.too_many;
  counters.namespaces_failed = namespaces.failed;
  counters.namespaces_unled = namespaces.unled;
  return counters;
}

}  // namespace cicd
