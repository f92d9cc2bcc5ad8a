// SPDX-License-Identifier: Apache-2.0
// What a job adds to what is learned of its project (egress/learned.h). Threads: any.
#pragma once

#include <string>

#include "egress/learned.h"
#include "job/summary.h"

namespace cicd {

inline constexpr const char* kLearnFile = "egress.db";

// Destinations by name where one is known. Left out: DNS (names are what is learned), the loopback
// network, which needs no rule, and UDP destinations that the kernel has counted no packet to
// (where it counts: summaries of replays have no traffic, and keep them).
LearnedJob learned_job(const JobSummary& summary);

// Adds the job to `state_dir`/egress.db; the folder is made when missing. What came of it goes into
// summary.egress: the job does not fail over it.
void remember_destinations(const std::string& state_dir, JobSummary& summary);

}  // namespace cicd
