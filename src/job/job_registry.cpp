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

}  // namespace

std::uint32_t JobRegistry::free_slot() const {
  std::set<std::uint32_t> used;
  for (const auto& [key, entry] : entries_) used.insert(entry.slot);
  for (std::uint32_t slot = 1; slot < options_.slots; ++slot) {
    if (!used.contains(slot)) return slot;
  }
  return 0;
}

auto JobRegistry::add(const JobDescription& job, const std::optional<JobPeer>& peer)
    -> std::expected<Entries::iterator, Refusal> {
  const std::uint32_t slot = free_slot();
  if (slot == 0) {
    return refuse(Refusal::Kind::kFailed, "this agent watches " + std::to_string(entries_.size()) +
                                              " jobs, which is the most it can");
  }
  if (const Result<void> begun = keeping_.begin(slot, job, peer); !begun) {
    const Error& error = begun.error();
    return refuse(Refusal::Kind::kFailed,
                  error.text + (error.hint.empty() ? "" : " (" + error.hint + ")"));
  }
  const Clock::time_point now = now_();
  const Entry entry{slot, job.identity, now, now, peer.has_value(), !peer.has_value()};
  return entries_.insert_or_assign(identity_key(job.identity), entry).first;
}

std::expected<void, Refusal> JobRegistry::start(const JobDescription& job, const JobPeer& peer) {
  if (entries_.contains(identity_key(job.identity))) {
    return refuse(Refusal::Kind::kConflict, "job already registered");
  }
  if (keeping_.slot_of(peer.pid) != 0) {
    return refuse(Refusal::Kind::kFailed, "the process that asked already belongs to another job");
  }
  const auto added = add(job, peer);
  if (!added) return std::unexpected(added.error());
  return {};
}

std::expected<void, Refusal> JobRegistry::register_job(const JobDescription& job) {
  if (entries_.contains(identity_key(job.identity))) return {};
  const auto added = add(job, std::nullopt);
  if (!added) return std::unexpected(added.error());
  return {};
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
    finish(*entry, "host_end", std::move(done));
    return {};
  }
  if (entry.error().kind != Refusal::Kind::kUnknown) return std::unexpected(entry.error());
  done();
  return {};
}

std::expected<void, Refusal> JobRegistry::start_project(const JobIdentity& identity, pid_t peer,
                                                        const ProjectSettings& settings,
                                                        const LoadedRules& rules) {
  const auto entry = find_for(identity, peer);
  if (!entry) return std::unexpected(entry.error());
  const std::uint32_t slot = (*entry)->second.slot;
  if (keeping_.has_project(slot)) {
    return refuse(Refusal::Kind::kConflict, "project scope already set");
  }
  const Result<void> attached = keeping_.attach_project(slot, settings, rules);
  if (attached) return {};
  return refuse(attached.error().code == ErrorCode::kInvalidInput ? Refusal::Kind::kInvalid
                                                                  : Refusal::Kind::kFailed,
                attached.error().text);
}

std::expected<JobRegistry::Health, Refusal> JobRegistry::check_health(const JobIdentity& identity,
                                                                      pid_t peer) const {
  const auto entry = find_for(identity, peer);
  if (!entry) return std::unexpected(entry.error());
  return Health{.has_project = keeping_.has_project((*entry)->second.slot)};
}

auto JobRegistry::find_slot(std::uint32_t slot) const -> Entries::const_iterator {
  if (slot == 0) return entries_.end();
  return std::ranges::find_if(entries_,
                              [slot](const auto& entry) { return entry.second.slot == slot; });
}

std::string JobRegistry::job_of(pid_t pid) const {
  const auto found = find_slot(keeping_.slot_of(pid));
  return found == entries_.end() ? std::string() : found->first;
}

std::uint32_t JobRegistry::slot_of_job(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? 0 : found->second.slot;
}

std::expected<bool, Refusal> JobRegistry::stage(const std::string& basename, pid_t client,
                                                const std::optional<JobDescription>& named) {
  const auto of_client = find_slot(keeping_.slot_of(client));
  auto at = entries_.end();
  bool is_new = false;
  if (of_client != entries_.end()) {
    at = entries_.find(of_client->first);
  } else if (named) {
    at = entries_.find(identity_key(named->identity));
    is_new = at == entries_.end();
  }
  if (is_new) {
    const auto added = add(*named, std::nullopt);
    if (!added) return std::unexpected(added.error());
    at = *added;
  }
  if (at == entries_.end()) return false;
  Entry& entry = at->second;
  if (const Result<void> staged = keeping_.stage(entry.slot, basename); !staged) {
    if (is_new) finish(at, "error", [] {});
    return refuse(staged.error().code == ErrorCode::kInvalidInput ? Refusal::Kind::kInvalid
                                                                  : Refusal::Kind::kFailed,
                  staged.error().text);
  }
  if (!entry.has_processes) {
    entry.awaits_container = true;
    entry.last_alive = now_();
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
    if (keeping_.is_alive(entry.slot)) {
      entry.last_alive = now;
      entry.awaits_container = false;
    }
    const auto patience = entry.awaits_container ? options_.registration_grace : options_.grace;
    if (now - entry.last_alive >= patience) {
      finish(current, entry.awaits_container ? "ttl" : "cgroup_rmdir", [] {});
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
