// SPDX-License-Identifier: Apache-2.0
// EventSource: where samples come from. Three engines behind one seam: live (libbpf,
// live_source.h), replay (a recording, replay_source.h) and fake (made by a test, fake_source.h).
// Everything above is the same for all three and is tested without root through the last two.
//
// Thread: one, the pipeline thread. Order of calls: poll, then commit once what poll handed out is
// safe (journalled and processed); a reader that dies before commit finds the samples again.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "event/event_type.h"
#include "kernel/loss.h"

namespace cicd {

using SampleBytes = std::span<const std::byte>;
using SampleSink = FunctionRef<void(SampleBytes)>;

// What one event type is served by, for logs, summary, report and doctor.
struct Coverage {
  EventType type;
  std::string backend;  // "tp_btf", "syscall tracepoint", "cgroup", ... or "none"
  bool available = false;
  std::string limits;  // what this backend cannot see, one sentence, or empty
  std::string reason;  // why no better backend attached, or empty
};

// Clock of the samples: realtime = boottime + offset.
struct ClockInfo {
  std::int64_t realtime_offset_ns = 0;
};

class EventSource {
 public:
  virtual ~EventSource() = default;

  // Hands every sample that is there to `sink`, in order of time across the rings, and returns how
  // many. Waits up to `max_wait` when there is none. At the end of a finite source: at_end().
  virtual Result<std::size_t> poll(std::chrono::milliseconds max_wait, SampleSink sink) = 0;

  // Gives the room of everything handed out so far back to the kernel side.
  virtual void commit() = 0;

  // True when no sample will come any more (a recording is at its end).
  virtual bool at_end() const = 0;

  // Losses of a job slot so far, kernel counters included.
  virtual Result<LossReport> losses(std::uint32_t slot) = 0;

  virtual std::vector<Coverage> coverage() const = 0;
  virtual ClockInfo clock() const = 0;
};

}  // namespace cicd
