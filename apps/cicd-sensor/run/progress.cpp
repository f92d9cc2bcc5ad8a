// SPDX-License-Identifier: Apache-2.0
#include "run/progress.h"

#include <unistd.h>

#include "console.h"

namespace cicd {

namespace {

constexpr std::chrono::milliseconds kInterval{500};

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string counted(std::uint64_t number, const char* one, const char* many) {
  return grouped(number) + " " + (number == 1 ? one : many);
}

}  // namespace

std::string progress_text(const JobProgress& progress) {
  return counted(progress.events, "event", "events") + ", " +
         counted(progress.detections, "detection", "detections") + ", " +
         grouped(progress.dropped) + " lost";
}

ProgressLine::ProgressLine(bool is_wanted)
    : is_on_(is_wanted && ::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + kInterval) {}

void ProgressLine::show(const JobProgress& progress) {
  if (!is_on_ || std::chrono::steady_clock::now() < next_) return;
  next_ = std::chrono::steady_clock::now() + kInterval;
  std::string text = progress_text(progress);
  if (text == last_) return;
  last_ = std::move(text);
  print_text("\r\x1b[Kcicd-sensor: " + last_);
  is_shown_ = true;
}

void ProgressLine::clear() {
  if (is_shown_) print_text("\r\x1b[K");
  is_shown_ = false;
}

}  // namespace cicd
