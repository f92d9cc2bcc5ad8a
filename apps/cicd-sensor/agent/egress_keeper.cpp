// SPDX-License-Identifier: Apache-2.0
#include "agent/egress_keeper.h"

#include <utility>
#include <vector>

#include "base/log.h"
#include "egress/dns_redirect.h"
#include "job/egress_facts.h"

namespace cicd {

namespace {

Result<std::shared_ptr<const PolicyDocument>> document_of(LoadedPolicy loaded,
                                                          const std::string& what) {
  if (loaded.document) return std::move(loaded.document);
  std::string first = "it cannot be read";
  std::size_t errors = 0;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    if (diagnostic.severity != Diagnostic::Severity::kError) continue;
    if (++errors == 1) first = diagnostic.format();
  }
  const std::string more = errors > 1 ? " (and " + std::to_string(errors - 1) + " more)" : "";
  return fail(ErrorCode::kInvalidInput, what + ": " + first + more,
              "cicd-sensorctl policy validate checks a policy");
}

ScopeEgress scope_of(const std::shared_ptr<const PolicyDocument>& document, EgressMode mode,
                     const JobIdentity& identity, const JobMetadata& metadata) {
  ScopeEgress scope;
  scope.mode = mode;
  if (!document) return scope;
  scope.policy = std::make_shared<const EgressPolicy>(
      *document,
      PolicySubject{.project = identity.project_path, .job = job_name(identity, metadata)});
  return scope;
}

}  // namespace

Result<HostEgress> load_host_egress(const std::string& path, EgressMode mode) {
  HostEgress out;
  out.mode = mode;
  if (path.empty()) {
    if (mode != EgressMode::kEnforce) return out;
    return fail(ErrorCode::kUsage, "--mode enforce: there is no policy to enforce",
                "name one with --policy");
  }
  CICD_ASSIGN(out.policy, document_of(load_policy_file(path), "--policy"));
  return out;
}

ScopeEgress EgressKeeper::host_scope(const JobIdentity& identity,
                                     const JobMetadata& metadata) const {
  return scope_of(host_.policy, host_.mode, identity, metadata);
}

Result<ScopeEgress> EgressKeeper::project_scope(const JobIdentity& identity,
                                                const JobMetadata& metadata,
                                                const ProjectSettings& settings) {
  if (settings.egress_policy.empty()) {
    if (settings.mode != EgressMode::kEnforce)
      return scope_of(nullptr, settings.mode, identity, metadata);
    return fail(ErrorCode::kInvalidInput, "mode is enforce, and there is no egress_policy");
  }
  CICD_ASSIGN(
      const auto document,
      document_of(load_policy_text(settings.egress_policy, "egress_policy", ""), "egress_policy"));
  return scope_of(document, settings.mode, identity, metadata);
}

Result<EgressGuard*> EgressKeeper::guard() {
  const std::lock_guard lock(mutex_);
  if (!guard_) {
    CICD_ASSIGN(EgressControl* const control, source_.egress());
    CICD_ASSIGN(guard_, EgressGuard::start(*control));
    if (DnsRedirect::find_nft().empty()) {
      Log("agent").warn(
          "nft_not_found",
          {{"consequence", "questions of raw sockets in containers are denied, not answered"}});
    }
  }
  return guard_.get();
}

bool EgressKeeper::is_held(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  return held_.contains(slot);
}

Result<> EgressKeeper::enforce(std::uint32_t slot, const ScopeEgress& host,
                               const ScopeEgress& project, bool adopts) {
  if (!host.is_watching() && !project.is_watching()) return {};
  CICD_ASSIGN(EgressGuard* const guard, this->guard());
  CICD_ASSIGN(auto egress, JobEgress::make(host, project));
  CICD_TRY(is_held(slot) ? guard->replace(slot, std::move(egress))
                         : guard->begin(slot, std::move(egress), adopts));
  const std::lock_guard lock(mutex_);
  held_.insert(slot);
  return {};
}

void EgressKeeper::note_sockets(std::uint32_t slot) {
  const auto control = source_.egress();
  if (!control) return;
  std::vector<std::uint32_t> pids;
  for (const TrackedProcess& process : source_.processes(slot)) pids.push_back(process.pid);
  (*control)->note_sockets(slot, pids);
}

void EgressKeeper::end(std::uint32_t slot, Job::End& end) {
  EgressGuard* guard = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (held_.erase(slot) == 0) return;
    guard = guard_.get();
  }
  add_resolver_facts(guard->end(slot), end);
}

}  // namespace cicd
