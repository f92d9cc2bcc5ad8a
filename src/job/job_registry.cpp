// SPDX-License-Identifier: Apache-2.0
#include "job/job_registry.h"

#include <algorithm>
#include <set>
#include <utility>

namespace cicd {

namespace {

std::unexpected<Refusal> refuse(Refusal::Kind kind, std::string message) {
  return std::unexpected(Refusal{kind, std::move(message)});
}

std::unexpected<Refusal> refuse(const Error& error) {
  const bool is_invalid = error.code == ErrorCode::kInvalidInput;
  return refuse(is_invalid ? Refusal::Kind::kInvalid : Refusal::Kind::kFailed,
                error.text + (error.hint.empty() ? "" : " (" + error.hint + ")"));
}

}  // namespace

std::uint32_t JobRegistry::free_slot() const {
  std::set<std::uint32_t> used;
  for (const auto& [key, entry] : entries_) used.insert(entry.slot);
  for (std::uint32_t slot = 1; slot < options_.slots; ++slot) {
    if (!used.contains(slot)) return slot;
  }
  return 0;
}

std::expected<void, Refusal> JobRegistry::start(const JobIdentity& identity,
                                                const JobMetadata& metadata, const JobPeer& peer) {
  if (const auto known = entries_.find(identity_key(identity)); known != entries_.end()) {
    return refuse(Refusal::Kind::kConflict, keeping_.has_scope(known->second.slot, ScopeKind::kHost)
                                                ? "job already registered"
                                                : "host start must happen before project start");
  }
  auto started = enter(identity, peer.pid, [&](std::uint32_t slot) {
    return keeping_.begin(slot, identity, metadata, peer);
  });
  // A host start has no body that could be at fault.
  if (!started && started.error().kind == Refusal::Kind::kInvalid) {
    started.error().kind = Refusal::Kind::kFailed;
  }
  return started;
}

std::expected<void, Refusal> JobRegistry::enter(const JobIdentity& identity, pid_t peer,
                                                const Begin& begin) {
  if (keeping_.slot_of(peer) != 0) {
    return refuse(Refusal::Kind::kFailed, "the process that asked already belongs to another job");
  }
  const std::uint32_t slot = free_slot();
  if (slot == 0) {
    return refuse(Refusal::Kind::kFailed, "this agent watches " + std::to_string(entries_.size()) +
                                              " jobs, which is the most it can");
  }
  if (const Result<void> begun = begin(slot); !begun) return refuse(begun.error());
  const Clock::time_point now = now_();
  entries_[identity_key(identity)] = {slot, identity, now, now};
  return {};
}

void JobRegistry::restore(std::uint32_t slot, const JobIdentity& identity,
                          std::chrono::milliseconds age) {
  const Clock::time_point now = now_();
  entries_[identity_key(identity)] = {slot, identity, now - age, now};
}

auto JobRegistry::find_for(const JobIdentity& identity, pid_t peer) const
    -> std::expected<Entries::const_iterator, Refusal> {
  const auto entry = entries_.find(identity_key(identity));
  if (entry == entries_.end()) return refuse(Refusal::Kind::kUnknown, "job not found");
  if (peer <= 0 || keeping_.slot_of(peer) != entry->second.slot) {
    return refuse(Refusal::Kind::kForbidden, "peer not in job tracking set");
  }
  return entry;
}

std::expected<void, Refusal> JobRegistry::end(const JobIdentity& identity, pid_t peer,
                                              std::function<void()> done) {
  const auto entry = find_for(identity, peer);
  if (entry) {
    if (!keeping_.has_scope((*entry)->second.slot, ScopeKind::kHost)) {
      return refuse(Refusal::Kind::kConflict, "job has no host scope");
    }
    finish(*entry, "host_end", std::move(done));
    return {};
  }
  if (entry.error().kind != Refusal::Kind::kUnknown) return std::unexpected(entry.error());
  done();
  return {};
}

std::expected<void, Refusal> JobRegistry::start_project(const JobIdentity& identity,
                                                        const JobMetadata& metadata,
                                                        const JobPeer& peer,
                                                        const ProjectSettings& settings,
                                                        const LoadedRules& rules) {
  if (options_.is_hosted && !entries_.contains(identity_key(identity))) {
    return enter(identity, peer.pid, [&](std::uint32_t slot) {
      return keeping_.begin_project(slot, identity, metadata, peer, settings, rules);
    });
  }
  const auto entry = find_for(identity, peer.pid);
  if (!entry) return std::unexpected(entry.error());
  const std::uint32_t slot = (*entry)->second.slot;
  if (keeping_.has_scope(slot, ScopeKind::kProject)) {
    return refuse(Refusal::Kind::kConflict, "project scope already set");
  }
  const Result<void> attached = keeping_.attach_project(slot, settings, rules);
  if (!attached) return refuse(attached.error());
  return {};
}

std::expected<void, Refusal> JobRegistry::write_result(const JobIdentity& identity, pid_t peer,
                                                       bool or_host, ResultAnswer answer) {
  const auto entry = find_for(identity, peer);
  if (!entry) return std::unexpected(entry.error());
  const std::uint32_t slot = (*entry)->second.slot;
  const bool has_project = keeping_.has_scope(slot, ScopeKind::kProject);
  if (!has_project && !or_host) {
    return refuse(Refusal::Kind::kConflict, "job has no project scope");
  }
  keeping_.write_result(slot, has_project ? ScopeKind::kProject : ScopeKind::kHost,
                        std::move(answer));
  return {};
}

std::expected<JobRegistry::Health, Refusal> JobRegistry::check_health(const JobIdentity& identity,
                                                                      pid_t peer) const {
  const auto entry = find_for(identity, peer);
  if (!entry) return std::unexpected(entry.error());
  const std::uint32_t slot = (*entry)->second.slot;
  return Health{.has_host = keeping_.has_scope(slot, ScopeKind::kHost),
                .has_project = keeping_.has_scope(slot, ScopeKind::kProject)};
}

std::expected<bool, Refusal> JobRegistry::stage(const std::string& basename, pid_t client) {
  const std::uint32_t slot = keeping_.slot_of(client);
  const bool is_known = std::ranges::any_of(
      entries_, [slot](const auto& entry) { return entry.second.slot == slot; });
  if (slot == 0 || !is_known) return false;
  if (const Result<void> staged = keeping_.stage(slot, basename); !staged) {
    return refuse(staged.error());
  }
  return true;
}

void JobRegistry::finish(Entries::const_iterator entry, const std::string& reason,
                         std::function<void()> done) {
  const std::uint32_t slot = entry->second.slot;
  entries_.erase(entry);
  keeping_.end(slot, reason, std::move(done));
}

void JobRegistry::look_after() {
  const Clock::time_point now = now_();
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    const auto current = at++;
    if (keeping_.is_terminated(entry.slot)) {
      finish(current, "terminate", [] {});
      continue;
    }
    if (keeping_.is_alive(entry.slot)) entry.last_alive = now;
    if (now - entry.last_alive >= options_.grace) {
      finish(current, "cgroup_rmdir", [] {});
    } else if (now - entry.started >= options_.job_ttl) {
      finish(current, "ttl", [] {});
    }
  }
}

void JobRegistry::end_all(const std::string& reason, const std::function<void()>& done_each) {
  while (!entries_.empty()) finish(entries_.begin(), reason, done_each);
}

std::vector<JobRegistry::JobView> JobRegistry::jobs() const {
  std::vector<JobView> out;
  const Clock::time_point now = now_();
  for (const auto& [key, entry] : entries_) {
    out.push_back({entry.slot, entry.identity,
                   std::chrono::duration_cast<std::chrono::seconds>(now - entry.started)});
  }
  return out;
}

}  // namespace cicd
