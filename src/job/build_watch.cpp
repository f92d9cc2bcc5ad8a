// SPDX-License-Identifier: Apache-2.0
#include "job/build_watch.h"

#include <utility>

namespace cicd {

namespace {

constexpr const char* kShared =
    "steps of docker build are missing: somebody else was building at the same time, and BuildKit "
    "does not say whose a step is";

}  // namespace

void BuildWatch::put(const std::vector<Build>& builds, std::function<bool()> is_told) {
  is_told_ = std::move(is_told);
  std::set<std::string> open;
  for (const Build& build : builds) {
    open.insert(build.id);
    const auto [at, is_new] = builds_.try_emplace(build.id);
    if (is_new) at->second.job = keeping_.job_of(build.client_pid);
    at->second.ended.reset();
  }
  end_all_but(open);
  settle();
}

void BuildWatch::look_after() {
  if (builds_.empty()) return;
  // A proxy that is gone has taken its connections along, and dockerd ends such builds.
  if (is_told_ && !is_told_()) end_all_but({});
  settle();
}

void BuildWatch::end_all_but(const std::set<std::string>& open) {
  for (auto& [id, build] : builds_) {
    if (!open.contains(id) && !build.ended) build.ended = now_();
  }
}

std::string BuildWatch::sole_job() {
  std::set<std::string> jobs;
  for (const auto& [id, build] : builds_) jobs.insert(build.job);
  if (jobs.empty()) return {};
  if (jobs.size() == 1) return *jobs.begin();
  for (auto& [id, build] : builds_) {
    if (build.ended || std::exchange(build.is_complained, true)) continue;
    if (const std::uint32_t slot = keeping_.slot_of_job(build.job); slot != 0) {
      keeping_.add_problem(slot, kShared);
    }
  }
  return {};
}

void BuildWatch::settle() {
  const Clock::time_point now = now_();
  std::erase_if(builds_, [now](const auto& entry) {
    return entry.second.ended && now - *entry.second.ended >= kLinger;
  });
  std::string job = sole_job();
  const std::uint32_t slot = job.empty() ? 0 : keeping_.slot_of_job(job);
  if (slot == 0) job.clear();
  if (job != owner_ && !owner_.empty()) [[maybe_unused]]
    const Result<void> taken = keeping_.give_steps_to(0);
  owner_.clear();
  if (slot == 0) return;
  // Also when it has them: a job that ended and came back has them no more.
  if (const Result<void> given = keeping_.give_steps_to(slot); given) {
    owner_ = std::move(job);
  } else if (!std::exchange(builds_.begin()->second.is_complained, true)) {
    keeping_.add_problem(slot, "steps of docker build are missing: " + given.error().text);
  }
}

}  // namespace cicd
