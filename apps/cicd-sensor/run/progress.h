// SPDX-License-Identifier: Apache-2.0
// ProgressLine: one line on a terminal's last row, written anew while a job runs; nothing when
// standard error is no terminal. Thread: the pipeline thread.
#pragma once

#include <chrono>
#include <string>

#include "job/job.h"

namespace cicd {

class ProgressLine {
 public:
  // `is_wanted`: false keeps it silent everywhere.
  explicit ProgressLine(bool is_wanted);

  // At most twice a second, and only when the figures changed.
  void show(const JobProgress& progress);
  void clear();

 private:
  bool is_on_;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point next_;
  std::string last_;
};

// "12,345 events, 2 detections, 0 lost"
std::string progress_text(const JobProgress& progress);

}  // namespace cicd
