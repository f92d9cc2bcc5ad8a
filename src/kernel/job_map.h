// SPDX-License-Identifier: Apache-2.0
// The maps that say which cgroups and processes are a job's, from the user side.
// Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/step.h"
#include "kernel/program_set.h"
#include "kernel/tracked_process.h"
#include "wire/shared.h"

namespace cicd {

// Cgroup `cgroup_id` and all that will be made below it belong to `slot`; processes that are in it
// already are made known, so that their leaving it is noticed.
Result<> put_cgroup(const ProgramSet& programs, int cgroup_root_fd, std::uint64_t cgroup_id,
                    std::uint32_t slot);

// Steps of docker build that are made in the cgroup from now on belong to `slot`; 0: to nobody.
Result<> put_builds(const ProgramSet& programs, std::uint64_t parent_id, bool are_among_others,
                    std::uint32_t slot);

// A cgroup that gets this name will belong to `slot`.
Result<> put_staged(const ProgramSet& programs, cicd_shared* shared, const std::string& basename,
                    std::uint32_t slot);

// What was staged and had been made before, by the name; its name is not waited for any more. Only
// for a container that has never been started before: of another, an earlier start is found.
std::optional<EarlierCgroup> take_earlier(const ProgramSet& programs, cicd_shared* shared,
                                          int cgroup_root_fd, const std::string& basename);

// From now on exec samples carry these variables of the environment; once, before any job.
Result<> put_wanted(const ProgramSet& programs, cicd_shared* shared,
                    std::span<const StepVariable> variables);

// The processes of a slot now. Any thread.
std::vector<TrackedProcess> members_of(const ProgramSet& programs, std::uint32_t slot);

// The cgroups of a slot that are there now. Any thread.
std::vector<TrackedCgroup> cgroups_of(const ProgramSet& programs, int cgroup_root_fd,
                                      std::uint32_t slot);

// The slot a process belongs to; 0: none. Any thread.
std::uint32_t slot_of_process(const ProgramSet& programs, std::uint32_t pid);

// The slot a cgroup belongs to, by its id; 0: none. Any thread.
std::uint32_t slot_of_cgroup(const ProgramSet& programs, std::uint64_t cgroup_id);

// Slots that anything is known of.
std::set<std::uint32_t> used_slots(const ProgramSet& programs);

// Forgets everything of a slot.
void remove_slot(const ProgramSet& programs, cicd_shared* shared, std::uint32_t slot);

}  // namespace cicd
