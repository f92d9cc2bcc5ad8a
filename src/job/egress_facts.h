// SPDX-License-Identifier: Apache-2.0
// What the kernel side and the resolver have counted of a job's egress, for its summary: totals and
// traffic, and as losses what they had no room for. Threads: any.
#pragma once

#include <cstdint>

#include "egress/resolver.h"
#include "job/job.h"
#include "kernel/egress_control.h"

namespace cicd {

void add_egress_facts(const EgressControl& control, std::uint32_t slot, Job::End& end);
void add_resolver_facts(const ResolverCounters& counters, Job::End& end);

}  // namespace cicd
