// SPDX-License-Identifier: Apache-2.0
// What the kernel side has denied and merged with what it told before, as the samples it would have
// told it in: nothing of it is left untold when a job ends. And what the resolver has to tell, in
// the same form. Pure but for the maps; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel/egress_control.h"
#include "wire/sample.h"

namespace cicd {

// `boot_time_ns`: CLOCK_BOOTTIME now.
std::vector<cicd_sample_egress> take_untold(EgressControl& control, std::uint32_t slot,
                                            std::uint64_t boot_time_ns);
// A longer name than fits is cut.
std::vector<std::byte> sample_of(const InsideAnswer& answer, std::uint64_t boot_time_ns);

}  // namespace cicd
