// SPDX-License-Identifier: Apache-2.0
// From an exec sample, or from what /proc says, to the ExecImage that a Process shows.
// Pure functions; `scratch` is for temporary text and may be reset afterwards.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "base/arena.h"
#include "event/process.h"
#include "track/proc_reader.h"
#include "wire/decode.h"

namespace cicd {

// How much all images that exist weigh. A job can make its processes hold on to many fat ones (each
// with a chain of ancestors that ran something else), so the sum is bounded, not the number.
// Threads: images may go on any thread, and after the tracker; hence the shared counter.
struct ImageBudget {
  std::size_t limit_bytes = 0;
  std::shared_ptr<std::atomic<std::size_t>> used_bytes =
      std::make_shared<std::atomic<std::size_t>>(0);

  bool is_spent() const { return used_bytes->load(std::memory_order_relaxed) > limit_bytes; }
};

std::size_t weight_of(const ExecImage& image);

struct MadeImage {
  std::shared_ptr<const ExecImage> image;
  std::uint32_t marks = 0;  // EventMark bits of its exec
};
MadeImage make_image(const ExecSample& sample, const ImageBudget& budget, Arena& scratch);

// `is_known` is false: nobody saw the exec.
std::shared_ptr<const ExecImage> make_image(const ProcFacts& facts, const ImageBudget& budget);

}  // namespace cicd
