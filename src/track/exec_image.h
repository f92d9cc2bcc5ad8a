// SPDX-License-Identifier: Apache-2.0
// From an exec sample, or from what /proc says, to the ExecImage that a Process shows.
// Pure functions; `scratch` is for temporary text and may be reset afterwards.
#pragma once

#include <memory>

#include "base/arena.h"
#include "event/process.h"
#include "track/proc_reader.h"
#include "wire/decode.h"

namespace cicd {

struct MadeImage {
  std::shared_ptr<const ExecImage> image;
  std::uint16_t marks = 0;  // EventMark bits of its exec
};
MadeImage make_image(const ExecSample& sample, Arena& scratch);

// `is_known` is false: nobody saw the exec.
std::shared_ptr<const ExecImage> make_image(const ProcFacts& facts);

}  // namespace cicd
