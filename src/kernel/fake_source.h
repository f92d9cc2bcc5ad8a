// SPDX-License-Identifier: Apache-2.0
// FakeSource: an EventSource that a test fills by hand (wire/sample_builder.h makes the samples).
//
// Thread: one. poll() hands out what was pushed since the last poll and never waits; commit() is
// counted so that a test can see that it came, and after what.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "kernel/event_source.h"

namespace cicd {

class FakeSource : public EventSource {
 public:
  void push(std::vector<std::byte> sample) { queue_.push_back(std::move(sample)); }
  // The next poll, after what is queued before it, fails with this.
  void push_error(Error error) { error_ = std::move(error); }
  // No sample will come any more: at_end() once the queue is empty.
  void finish() { is_finished_ = true; }
  void set_losses(std::uint32_t slot, LossReport losses) { losses_[slot] = std::move(losses); }
  void set_coverage(std::vector<Coverage> coverage) { coverage_ = std::move(coverage); }
  void set_clock(ClockInfo clock) { clock_ = clock; }

  // Samples handed out by poll, and those of them that were committed.
  std::size_t polled() const { return polled_; }
  std::size_t committed() const { return committed_; }

  Result<std::size_t> poll(std::chrono::milliseconds max_wait, SampleSink sink) override;
  void commit() override;
  bool at_end() const override { return is_finished_ && queue_.empty() && !error_; }
  Result<LossReport> losses(std::uint32_t slot) override;
  std::vector<Coverage> coverage() const override { return coverage_; }
  ClockInfo clock() const override { return clock_; }

 private:
  std::deque<std::vector<std::byte>> queue_;
  std::optional<Error> error_;
  bool is_finished_ = false;
  std::map<std::uint32_t, LossReport> losses_;
  std::vector<Coverage> coverage_;
  ClockInfo clock_;
  std::size_t polled_ = 0;
  std::size_t committed_ = 0;
};

}  // namespace cicd
