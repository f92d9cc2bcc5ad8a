// SPDX-License-Identifier: Apache-2.0
// For tests of the registry: a JobKeeping that does nothing, and a registry with a clock that
// stands.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job/job_registry.h"

namespace cicd {

// Keeps what it was told; processes and their jobs are as a test says.
class Keeping : public JobKeeping {
 public:
  std::uint32_t slot_of(pid_t pid) const override {
    const auto found = slots.find(pid);
    return found == slots.end() ? 0 : found->second;
  }
  Result<void> begin(std::uint32_t slot, const JobDescription& job,
                     const std::optional<JobPeer>& peer) override {
    calls.push_back((peer ? "begin " : "register ") + std::to_string(slot) + " " +
                    job.identity.job_key + job.metadata.ref_name);
    if (!failure.empty()) return fail(ErrorCode::kIo, failure, "a hint");
    if (peer) slots[peer->pid] = slot;
    alive[slot] = peer.has_value();
    hosts[slot] = true;
    projects.erase(slot);
    return {};
  }
  Result<void> begin_project(std::uint32_t slot, const JobDescription& job, const JobPeer& peer,
                             const ProjectSettings&, const LoadedRules&) override {
    calls.push_back("begin_project " + std::to_string(slot) + " " + job.identity.job_key +
                    job.metadata.ref_name);
    if (!failure.empty()) return fail(ErrorCode::kInvalidInput, failure);
    slots[peer.pid] = slot;
    alive[slot] = true;
    projects[slot] = true;
    hosts.erase(slot);
    return {};
  }
  Result<void> attach_project(std::uint32_t slot, const ProjectSettings& settings,
                              const LoadedRules&) override {
    calls.push_back("project " + std::to_string(slot) + (settings.monitor_mode ? " monitor" : ""));
    if (!failure.empty()) return fail(ErrorCode::kInvalidInput, failure);
    projects[slot] = true;
    return {};
  }
  bool has_scope(std::uint32_t slot, ScopeKind kind) const override {
    return (kind == ScopeKind::kHost ? hosts : projects).contains(slot);
  }
  void write_result(std::uint32_t slot, ScopeKind kind, ResultAnswer answer) override {
    answer(std::string(name_of(kind)) + " of " + std::to_string(slot));
  }
  Result<void> stage(std::uint32_t slot, const std::string& basename, bool) override {
    calls.push_back("stage " + std::to_string(slot) + " " + basename);
    const std::string& why = stage_failure.empty() ? failure : stage_failure;
    if (!why.empty()) return fail(ErrorCode::kInvalidInput, why);
    return {};
  }
  bool is_alive(std::uint32_t slot) override { return alive[slot]; }
  bool is_terminated(std::uint32_t slot) override { return terminated.contains(slot); }
  std::uint64_t acts(std::uint32_t slot) const override {
    const auto found = acts_of.find(slot);
    return found == acts_of.end() ? 0 : found->second;
  }
  void end(std::uint32_t slot, const std::string& reason, std::function<void()> done) override {
    calls.push_back("end " + std::to_string(slot) + " " + reason);
    const auto let_go = [this, slot, done = std::move(done)] {
      std::erase_if(slots, [slot](const auto& entry) { return entry.second == slot; });
      terminated.erase(slot);
      done();
    };
    is_end_slow ? ends.push_back(let_go) : let_go();
  }
  // What the ends of jobs left to do, the first of them first.
  void end_next() {
    const std::function<void()> let_go = ends.front();
    ends.erase(ends.begin());
    let_go();
  }

  std::map<pid_t, std::uint32_t> slots;
  std::map<std::uint32_t, bool> alive;
  std::map<std::uint32_t, std::uint64_t> acts_of;
  std::map<std::uint32_t, bool> terminated;
  std::map<std::uint32_t, bool> hosts, projects;
  std::vector<std::string> calls;
  std::string failure, stage_failure;
  bool is_end_slow = false;
  std::vector<std::function<void()>> ends;
};

inline JobIdentity job(const std::string& key) {
  return {.provider = "generic", .provider_host = "h", .project_path = "p", .job_key = key};
}

inline void run_at_once(const std::function<void()>& task) { task(); }

class JobRegistryTest : public testing::Test {
 protected:
  std::string start(const std::string& key, pid_t peer) {
    const auto started = registry_.start({job(key), {}}, {peer, 0});
    return started ? "" : started.error().message;
  }
  std::string end(const std::string& key, pid_t peer) {
    const auto ended = registry_.end(job(key), peer, [this] { ++done_; });
    return ended ? "" : ended.error().message;
  }
  std::string health(const std::string& key, pid_t peer) const {
    const auto healthy = registry_.check_health(job(key), peer);
    return healthy ? "" : healthy.error().message;
  }

  Keeping keeping_;
  JobRegistry::Clock::time_point now_{};
  RegistryOptions options_{
      .slots = 4, .job_ttl = std::chrono::hours(1), .grace = std::chrono::seconds(10)};
  JobRegistry registry_{keeping_, options_, run_at_once, [this] { return now_; }};
  int done_ = 0;
};

}  // namespace cicd
