// SPDX-License-Identifier: Apache-2.0
// ToldSamples: samples of jobs that no program in the kernel makes, but our own resolver. They come
// out of LiveSource::poll() with those of the rings, so that whoever reads it has one way in: they
// are kept in the journal and become events like others.
//
// Bounded: what a reader that is late has no room for is dropped and counted, for its job.
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "kernel/event_source.h"

namespace cicd {

class ToldSamples {
 public:
  static constexpr std::size_t kMaxWaiting = 4'096;

  void add(std::uint32_t slot, std::vector<std::byte> sample);
  // Gives out what waits; returns how many.
  std::size_t drain(SampleSink sink);
  std::uint64_t dropped(std::uint32_t slot) const;
  // The slot is another job's from now on, or nobody's.
  void forget(std::uint32_t slot);

 private:
  struct Waiting {
    std::uint32_t slot;
    std::vector<std::byte> sample;
  };
  mutable std::mutex mutex_;  // not held while samples are given out
  std::vector<Waiting> waiting_;
  std::unordered_map<std::uint32_t, std::uint64_t> dropped_;
};

}  // namespace cicd
