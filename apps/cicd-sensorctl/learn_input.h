// SPDX-License-Identifier: Apache-2.0
// Where `policy learn` finds what jobs have reached: the state store of an agent, or files that
// runs have left. One thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "egress/learned.h"

namespace cicd::ctl {

struct LearnInput {
  Learned learned;
  std::string project;
  std::vector<std::string> warnings;  // rows that could not be read
};

// `project` empty: the only one there is; an error when there are several.
Result<LearnInput> learn_from_store(const std::string& state_dir, const std::string& project);
// Each path is a folder with a summary.json or events.jsonl, or one of these files.
Result<LearnInput> learn_from_files(const std::vector<std::string>& paths,
                                    const std::string& project);

}  // namespace cicd::ctl
