// SPDX-License-Identifier: Apache-2.0
// A tracker with one job (slot 1, root cgroup 42, "/job") and its batch, for tests of this folder.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "track/tracker.h"
#include "wire/sample_builder.h"

namespace cicd {

inline const Actor kSensor{.pid = 10, .start_time_ns = 500, .exec_id = 7, .cgroup_id = 1};
inline const Actor kShell{};  // pid 100 in the job's root cgroup

class TrackerBench {
 public:
  explicit TrackerBench(TrackerOptions options = {})
      : tracker_(ClockInfo{.realtime_offset_ns = 500}, std::move(options)) {
    tracker_.register_job(1, 42, "/job");
  }

  void send(const SampleBuffer& sample) {
    tracker_.handle(sample, [this](std::uint32_t) { return is_wanted_ ? &batch_ : nullptr; });
  }
  // kShell starts from outside and is /bin/sh, exec_id 1; its exec's record is cleared away.
  void start_shell() {
    send(fork_sample(kShell.image(0), kSensor));
    send(exec_sample(kShell, {.exec_path = "/bin/sh", .argv = {"sh"}}));
    batch_.reset();
  }

  Tracker& tracker() { return tracker_; }
  EventBatch& batch() { return batch_; }
  const RecordList<EventRecord>& records() const { return batch_.records; }
  void set_wanted(bool is_wanted) { is_wanted_ = is_wanted; }

  std::uint64_t lost(const std::string& what, const std::string& reason, std::uint32_t slot = 1) {
    for (const LossEntry& entry : tracker_.losses(slot).entries) {
      if (entry.what == what && entry.reason == reason) return entry.count;
    }
    return 0;
  }

 private:
  Tracker tracker_;
  EventBatch batch_;
  bool is_wanted_ = true;
};

}  // namespace cicd
