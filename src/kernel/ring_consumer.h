// SPDX-License-Identifier: Apache-2.0
// RingConsumer: our reader of the two ring buffers. Other than libbpf's it gives room back to the
// kernel only at commit(), so that a reader that dies loses nothing, and it merges both rings by
// time.
//
// Threads: one. Processes: the memory is shared; after fork() one process reads at a time. One that
// takes over sees what the other committed.
// Order trap: bulk's end is looked up before control's. Whatever caused a bulk sample is then
// either handed out before it or was lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/function_ref.h"
#include "base/result.h"
#include "kernel/event_source.h"
#include "kernel/recording.h"

namespace cicd {

// One BPF ring buffer, mapped.
class MappedRing {
 public:
  enum class Head { kEmpty, kBusy, kSample };

  static Result<MappedRing> map(int map_fd, std::size_t bytes);
  MappedRing(MappedRing&& other) noexcept;
  MappedRing& operator=(MappedRing&&) = delete;
  ~MappedRing();

  // Fixes how far head() and pop() go, and catches up with another process's commits.
  void take_snapshot();
  bool has_data() const;
  // The next sample up to the snapshot; discarded records are skipped.
  Head head(SampleBytes* sample);
  void pop();

  std::uint64_t position() const { return next_; }
  // Where a sample that was handed out since the last commit stands; nullopt: in another ring.
  std::optional<std::uint64_t> position_of(SampleBytes sample) const;
  void set_position(std::uint64_t position);
  void commit();

 private:
  MappedRing() = default;
  std::uint64_t producer() const;
  std::uint64_t consumer() const;

  std::byte* consumer_page_ = nullptr;
  std::byte* producer_page_ = nullptr;
  std::size_t page_bytes_ = 0;
  std::size_t ring_bytes_ = 0;
  std::uint64_t next_ = 0;   // first record not handed out
  std::uint64_t limit_ = 0;  // end of the snapshot
};

class RingConsumer {
 public:
  RingConsumer(MappedRing control, MappedRing bulk)
      : control_(std::move(control)), bulk_(std::move(bulk)) {}

  // Everything that is in the rings now, in order of time, or the first `most` of it; returns how
  // many. Views live until commit().
  std::size_t drain(SampleSink sink, std::size_t most = SIZE_MAX);
  bool has_data() const { return control_.has_data() || bulk_.has_data(); }
  void commit();
  RingPositions positions() const { return {control_.position(), bulk_.position()}; }
  void set_positions(const RingPositions& positions);
  // Of a sample handed out since the last commit: whether it comes before these positions.
  bool is_before(SampleBytes sample, const RingPositions& positions) const;

 private:
  MappedRing::Head wait_while_busy(MappedRing& ring, SampleBytes* sample);

  MappedRing control_;
  MappedRing bulk_;
};

}  // namespace cicd
