// SPDX-License-Identifier: Apache-2.0
// BuildWatch: whose the steps of BuildKit are that dockerd starts at the moment. Nothing about such
// a step says which build it is of, so they can be told only while a single job builds: then the
// cgroup that BuildKit makes those of its steps in is that job's, and what is made below it
// follows in the kernel. While builds of two run at once, or one of nobody's beside a job's, no
// step is anybody's: none is ever given to the wrong job.
//
// A build that has ended counts for a moment more, as dockerd may still be starting a step of it.
//
// Thread: one, the registry's. Lifetime: `keeping` outlives it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace cicd {

// What it needs done and known.
class BuildKeeping {
 public:
  virtual ~BuildKeeping() = default;
  // The job of a process, by its identity_key; "" when it has none.
  virtual std::string job_of(pid_t pid) const = 0;
  // Its slot now; 0: it is over.
  virtual std::uint32_t slot_of_job(const std::string& key) const = 0;
  // New steps belong to this slot; 0: to nobody. Once more is no mistake.
  virtual Result<void> give_steps_to(std::uint32_t slot) = 0;
  // For the job's summary, one sentence.
  virtual void add_problem(std::uint32_t slot, const std::string& problem) = 0;
};

struct Build {
  std::string id;        // the proxy's
  pid_t client_pid = 0;  // who asked for it
};

class BuildWatch {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  static constexpr std::chrono::milliseconds kLinger{2'000};

  explicit BuildWatch(BuildKeeping& keeping, Now now = Clock::now)
      : keeping_(keeping), now_(std::move(now)) {}

  // All builds that the proxy has open; those that are missing have ended. `is_told` tells whether
  // it is still there to say so.
  void put(const std::vector<Build>& builds, std::function<bool()> is_told);
  // Call it about once a second.
  void look_after();
  // The job that new steps belong to, by its key; "": nobody.
  const std::string& owner() const { return owner_; }

 private:
  struct Entry {
    std::string job;
    std::optional<Clock::time_point> ended;
    bool is_complained = false;
  };
  void end_all_but(const std::set<std::string>& open);
  void settle();
  std::string sole_job();

  BuildKeeping& keeping_;
  const Now now_;
  std::map<std::string, Entry> builds_;  // by id
  std::function<bool()> is_told_;
  std::string owner_;
};

}  // namespace cicd
