// SPDX-License-Identifier: Apache-2.0
// ReplaySource: a recording as an EventSource. Gives the samples block by block, as fast as they
// are asked for, with the clock they were recorded with; the same file gives the same samples
// always.
//
// Thread: one. A damaged recording: every good block first, then an error from poll(), once; after
// it the source is at its end.
#pragma once

#include <memory>
#include <string>

#include "kernel/event_source.h"
#include "kernel/recording.h"

namespace cicd {

class ReplaySource : public EventSource {
 public:
  static Result<std::unique_ptr<ReplaySource>> open(const std::string& path);

  const RecordingInfo& info() const { return reader_.info(); }
  // File offset and ring positions after the last good block read.
  std::uint64_t good_bytes() const { return reader_.good_bytes(); }
  RingPositions positions() const { return reader_.positions(); }

  Result<std::size_t> poll(std::chrono::milliseconds max_wait, SampleSink sink) override;
  void commit() override {}
  bool at_end() const override { return is_at_end_; }
  Result<LossReport> losses(std::uint32_t slot) override;
  std::vector<Coverage> coverage() const override;
  ClockInfo clock() const override { return reader_.info().clock; }

 private:
  explicit ReplaySource(RecordingReader reader) : reader_(std::move(reader)) {}
  RecordingReader reader_;
  bool is_at_end_ = false;
};

}  // namespace cicd
