// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver.h"

#include <utility>

#include "egress/resolver_core.h"

namespace cicd {

ResolverCounters& ResolverCounters::operator+=(const ResolverCounters& other) {
  using Member = std::uint64_t ResolverCounters::*;
  static constexpr Member kMembers[] = {
      &ResolverCounters::queries,
      &ResolverCounters::answered,
      &ResolverCounters::cached,
      &ResolverCounters::refused,
      &ResolverCounters::audited,
      &ResolverCounters::servfail,
      &ResolverCounters::malformed,
      &ResolverCounters::dropped,
      &ResolverCounters::unknown_clients,
      &ResolverCounters::limited,
      &ResolverCounters::truncated,
      &ResolverCounters::inserts_failed,
      &ResolverCounters::rebinding_addresses,
      &ResolverCounters::upstream_queries,
      &ResolverCounters::upstream_timeouts,
      &ResolverCounters::upstream_tcp,
      &ResolverCounters::upstream_bad,
      &ResolverCounters::upstream_unexpected,
      &ResolverCounters::upstream_failed,
      &ResolverCounters::namespaces_too_many,
      &ResolverCounters::namespaces_failed,
      &ResolverCounters::namespaces_unled,
  };
  static_assert(sizeof(kMembers) / sizeof(Member) * sizeof(std::uint64_t) ==
                sizeof(ResolverCounters));
  for (const Member member : kMembers) this->*member += other.*member;
  return *this;
}

Result<std::unique_ptr<Resolver>> Resolver::start(EgressControl& control, ResolverEvents& events,
                                                  ResolverOptions options) {
  auto core = std::make_unique<ResolverCore>(control, events, std::move(options));
  CICD_TRY(core->start());
  return std::unique_ptr<Resolver>(new Resolver(std::move(core)));
}

Resolver::Resolver(std::unique_ptr<ResolverCore> core) : core_(std::move(core)) {}
Resolver::~Resolver() = default;

std::uint16_t Resolver::port() const { return core_->port(); }
Result<> Resolver::listen_in(int netns_fd) { return core_->listen_in(netns_fd); }
void Resolver::stop_listening(std::uint32_t netns) { core_->stop_listening(netns); }

Result<> Resolver::add_job(std::uint32_t slot, std::shared_ptr<const NameJudge> judge,
                           bool adopts) {
  return core_->add_job(slot, std::move(judge), adopts);
}

Result<> Resolver::replace_policy(std::uint32_t slot, std::shared_ptr<const NameJudge> judge) {
  return core_->replace_policy(slot, std::move(judge));
}

ResolverCounters Resolver::remove_job(std::uint32_t slot) { return core_->remove_job(slot); }
ResolverCounters Resolver::counters() const { return core_->counters(); }
ResolverCounters Resolver::counters(std::uint32_t slot) const { return core_->counters(slot); }

}  // namespace cicd
