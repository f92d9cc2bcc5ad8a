// SPDX-License-Identifier: Apache-2.0
// A policy file of what jobs have reached, for a person to review: sorted, each entry with how many
// jobs used it, when, and by which program. Pure; any thread.
//
// Names and programs are the job's: nothing of them can become YAML of its own. What cannot be
// written as an entry stands there as a comment.
#pragma once

#include <cstdint>
#include <string>

#include "egress/learned.h"

namespace cicd {

struct LearnedPolicyOptions {
  std::string project;
  std::uint64_t min_jobs = 3;  // an entry of fewer jobs is marked
};

std::string learned_policy(const Learned& learned, const LearnedPolicyOptions& options);

// "registry.test:443/tcp"; control characters and the like as '?', cut when it is long.
std::string learned_text(const LearnedUse& use);

}  // namespace cicd
