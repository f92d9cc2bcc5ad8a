// SPDX-License-Identifier: Apache-2.0
#include "docker/container_book.h"

#include <utility>

namespace cicd {

void ContainerBook::begin(const std::string& id, std::string_view name,
                          std::shared_ptr<const JobDescription> job) {
  const auto [at, is_new] = containers_.try_emplace(id);
  at->second.staging = Staging::kPending;
  at->second.job = std::move(job);
  if (!name.empty()) {
    // Docker takes "/name" too.
    if (name.starts_with('/')) name.remove_prefix(1);
    at->second.name = name;
    names_[at->second.name] = id;
  }
  if (!is_new) return;
  order_.push_back(id);
  if (order_.size() > most_) forget_oldest();
}

void ContainerBook::finish(const std::string& id, bool is_staged) {
  const auto at = containers_.find(id);
  if (at == containers_.end()) return;
  at->second.staging = is_staged ? Staging::kStaged : Staging::kFailed;
  at->second.staged_at = Clock::now();
  for (const auto& done : std::exchange(at->second.waiting, {})) done(is_staged);
}

std::string ContainerBook::find(std::string_view name) const {
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) return {};
  if (containers_.contains(name)) return std::string(name);
  if (const auto named = names_.find(std::string(name)); named != names_.end()) {
    return named->second;
  }
  const auto at = containers_.lower_bound(name);
  if (at == containers_.end() || !at->first.starts_with(name)) return {};
  const auto next = std::next(at);
  const bool is_clear = next == containers_.end() || !next->first.starts_with(name);
  return is_clear ? at->first : std::string();
}

Staging ContainerBook::staging(const std::string& id) const {
  const auto at = containers_.find(id);
  if (at == containers_.end()) return Staging::kUnknown;
  const Container& container = at->second;
  const bool is_old =
      container.staging == Staging::kStaged && Clock::now() - container.staged_at >= fresh_;
  return is_old ? Staging::kUsed : container.staging;
}

std::shared_ptr<const JobDescription> ContainerBook::job(const std::string& id) const {
  const auto at = containers_.find(id);
  return at == containers_.end() ? nullptr : at->second.job;
}

void ContainerBook::use(const std::string& id) {
  const auto at = containers_.find(id);
  if (at != containers_.end() && at->second.staging == Staging::kStaged) {
    at->second.staging = Staging::kUsed;
  }
}

void ContainerBook::wait(const std::string& id, std::function<void(bool)> done) {
  const auto at = containers_.find(id);
  if (at == containers_.end()) return done(false);
  at->second.waiting.push_back(std::move(done));
}

void ContainerBook::forget_oldest() {
  const auto at = containers_.find(order_.front());
  order_.pop_front();
  if (at == containers_.end()) return;
  const auto named = names_.find(at->second.name);
  if (named != names_.end() && named->second == at->first) names_.erase(named);
  const auto waiting = std::move(at->second.waiting);
  containers_.erase(at);
  for (const auto& done : waiting) done(false);
}

}  // namespace cicd
