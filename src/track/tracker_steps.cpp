// SPDX-License-Identifier: Apache-2.0
// Steps of the CI job: what a program was started with tells, and all that it starts inherits.
#include <utility>

#include "track/tracker_impl.h"

namespace cicd {

namespace {

// Of one job, each with two texts of CICD_ENVIRONMENT_MAX at most: a process can make up as many as
// it likes.
constexpr std::size_t kMaxSteps = 1'024;

}  // namespace

StepRef Tracker::Impl::step_of(std::string_view environment, std::span<const std::string> argv,
                               JobState& job) {
  if (read_step_ == nullptr) return nullptr;
  std::optional<Step> step = read_step_(environment, argv);
  if (!step) return nullptr;
  const std::string key = step->id + '\0' + step->name;
  if (const auto known = job.steps.find(key); known != job.steps.end()) return known->second;
  if (job.steps.size() >= kMaxSteps) {
    ++job.steps_dropped;
    return nullptr;
  }
  return job.steps[key] = std::make_shared<const Step>(std::move(*step));
}

}  // namespace cicd
