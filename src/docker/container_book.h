// SPDX-License-Identifier: Apache-2.0
// ContainerBook: the containers that were made through the proxy, by id, name and the head of the
// id, and whether the agent knows their cgroups. Bounded: the oldest ones are forgotten.
//
// Threads: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "docker/docker_request.h"

namespace cicd {

enum class Staging {
  kUnknown,  // made without us, or forgotten
  kPending,
  kStaged,
  // Staged, and started since: a second start makes another cgroup. Or staged a while ago: the job
  // may have ended meanwhile, and what was staged for it been forgotten.
  kUsed,
  kFailed,  // the agent did not answer, or refused
};

class ContainerBook {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kFresh{5};

  explicit ContainerBook(std::size_t most, Clock::duration fresh = kFresh)
      : most_(most), fresh_(fresh) {}

  // Its staging has begun; also of one that is known already. `name` and `job` (its labels') may be
  // empty.
  void begin(const std::string& id, std::string_view name,
             std::shared_ptr<const JobDescription> job);
  // Calls those that wait for it.
  void finish(const std::string& id, bool is_staged);

  // The id of a name, an id or the head of one; "" when it is not known or not clear.
  std::string find(std::string_view name) const;
  Staging staging(const std::string& id) const;
  std::shared_ptr<const JobDescription> job(const std::string& id) const;
  // It is about to be started.
  void use(const std::string& id);
  // Calls `done` when the staging of a pending one ends.
  void wait(const std::string& id, std::function<void(bool)> done);
  // A container has been renamed: names may mean others now.
  void forget_names() { names_.clear(); }
  std::size_t size() const { return containers_.size(); }

 private:
  struct Container {
    Staging staging = Staging::kPending;
    Clock::time_point staged_at{};
    std::string name;
    std::shared_ptr<const JobDescription> job;
    std::vector<std::function<void(bool)>> waiting;
  };
  void forget_oldest();

  std::size_t most_;
  Clock::duration fresh_;
  std::map<std::string, Container, std::less<>> containers_;
  std::unordered_map<std::string, std::string> names_;  // to ids
  std::deque<std::string> order_;
};

}  // namespace cicd
