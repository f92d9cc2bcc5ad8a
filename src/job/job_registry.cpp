// SPDX-License-Identifier: Apache-2.0
#include "job/job_registry.h"

#include <algorithm>
#include <set>
#include <utility>

namespace cicd {

namespace {

// Further ones are refused at once.
constexpr std::size_t kMostWaiting = 4096;

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
  for (const auto& [slot, key] : endings_) used.insert(slot);
  for (std::uint32_t slot = 1; slot < options_.slots; ++slot) {
    if (!used.contains(slot)) return slot;
  }
  return 0;
}

auto JobRegistry::add(const JobIdentity& identity, bool has_processes, const Begin& begin)
    -> std::expected<Entries::iterator, Refusal> {
  if (is_ending(identity_key(identity))) {
    return refuse(Refusal::Kind::kBusy,
                  "the results of the job that had this name before are still being written; "
                  "ask again");
  }
  const std::uint32_t slot = free_slot();
  if (slot == 0) {
    return refuse(Refusal::Kind::kFailed, "this agent watches " +
                                              std::to_string(entries_.size() + endings_.size()) +
                                              " jobs, which is the most it can");
  }
  if (const Result<void> begun = begin(slot); !begun) return refuse(begun.error());
  const Clock::time_point now = now_();
  const Entry entry{slot, identity, now, now, has_processes, !has_processes};
  return entries_.insert_or_assign(identity_key(identity), entry).first;
}

auto JobRegistry::add(const JobDescription& job, const std::optional<JobPeer>& peer)
    -> std::expected<Entries::iterator, Refusal> {
  auto added = add(job.identity, peer.has_value(),
                   [&](std::uint32_t slot) { return keeping_.begin(slot, job, peer); });
  // It has no body that could be at fault.
  if (!added && added.error().kind == Refusal::Kind::kInvalid) {
    added.error().kind = Refusal::Kind::kFailed;
  }
  return added;
}

std::expected<void, Refusal> JobRegistry::check_free(const JobPeer& peer) const {
  const std::uint32_t slot = keeping_.slot_of(peer.pid);
  if (slot == 0) return {};
  if (endings_.contains(slot)) {
    return refuse(Refusal::Kind::kBusy,
                  "the process that asked is of a job that is still being ended; ask again");
  }
  return refuse(Refusal::Kind::kFailed, "the process that asked already belongs to another job");
}

void JobRegistry::when_startable(const JobIdentity& identity, pid_t peer,
                                 std::function<void()> start) {
  Waiting waiting{identity_key(identity), peer, now_() + options_.end_patience, std::move(start)};
  if (waiting_.size() >= kMostWaiting || !must_wait(waiting)) return waiting.start();
  waiting_.push_back(std::move(waiting));
}

bool JobRegistry::is_ending(const std::string& key) const {
  return std::ranges::any_of(endings_, [&](const auto& ending) { return ending.second == key; });
}

bool JobRegistry::must_wait(const Waiting& waiting) const {
  if (endings_.empty() || entries_.contains(waiting.key)) return false;
  return is_ending(waiting.key) || endings_.contains(keeping_.slot_of(waiting.peer)) ||
         free_slot() == 0;
}

// One that starts may be in the way of the next, and calls back.
void JobRegistry::start_waiting() {
  const Clock::time_point now = now_();
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    if (now < waiting.until && must_wait(waiting)) {
      waiting_.push_back(std::move(waiting));
    } else {
      waiting.start();
    }
  }
}

void JobRegistry::note_ended(std::uint32_t slot) {
  endings_.erase(slot);
  start_waiting();
}

std::expected<void, Refusal> JobRegistry::start(const JobDescription& job, const JobPeer& peer) {
  if (const auto known = entries_.find(identity_key(job.identity)); known != entries_.end()) {
    return refuse(Refusal::Kind::kConflict, keeping_.has_scope(known->second.slot, ScopeKind::kHost)
                                                ? "job already registered"
                                                : "host start must happen before project start");
  }
  if (const auto free = check_free(peer); !free) return free;
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

void JobRegistry::restore(std::uint32_t slot, const JobIdentity& identity, bool has_processes,
                          std::chrono::milliseconds age) {
  const Clock::time_point now = now_();
  entries_[identity_key(identity)] = {slot, identity,      now - age,
                                      now,  has_processes, !has_processes};
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

std::expected<void, Refusal> JobRegistry::start_project(const JobDescription& job,
                                                        const JobPeer& peer,
                                                        const ProjectSettings& settings,
                                                        const LoadedRules& rules) {
  if (options_.is_hosted && !entries_.contains(identity_key(job.identity))) {
    if (const auto free = check_free(peer); !free) return free;
    const auto added = add(job.identity, true, [&](std::uint32_t slot) {
      return keeping_.begin_project(slot, job, peer, settings, rules);
    });
    if (!added) return std::unexpected(added.error());
    return {};
  }
  const auto entry = find_for(job.identity, peer.pid);
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
                                                const std::optional<JobDescription>& named,
                                                bool is_new) {
  const auto of_client = find_slot(keeping_.slot_of(client));
  auto at = entries_.end();
  bool is_new_job = false;
  if (of_client != entries_.end()) {
    at = entries_.find(of_client->first);
  } else if (named) {
    at = entries_.find(identity_key(named->identity));
    is_new_job = at == entries_.end();
  }
  if (is_new_job) {
    const auto added = add(*named, std::nullopt);
    if (!added) return std::unexpected(added.error());
    at = *added;
  }
  if (at == entries_.end()) return false;
  Entry& entry = at->second;
  if (const Result<void> staged = keeping_.stage(entry.slot, basename, is_new); !staged) {
    if (is_new_job) finish(at, "error", [] {});
    return refuse(staged.error());
  }
  if (!entry.has_processes) {
    entry.awaits_container = true;
    entry.acts_before = keeping_.acts(entry.slot);
    entry.last_alive = now_();
  }
  return true;
}

void JobRegistry::finish(Entries::const_iterator entry, const std::string& reason,
                         std::function<void()> done) {
  const std::uint32_t slot = entry->second.slot;
  endings_.emplace(slot, entry->first);
  entries_.erase(entry);
  // First of all this thread is told: whoever hears that the job has ended may start the next.
  keeping_.end(slot, reason, [this, slot, post = post_, done = std::move(done)] {
    post([this, slot] { note_ended(slot); });
    done();
  });
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
    const bool has_acted = entry.awaits_container && keeping_.acts(entry.slot) != entry.acts_before;
    if (has_acted || keeping_.is_alive(entry.slot)) {
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
  start_waiting();  // those that have waited too long
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
