// SPDX-License-Identifier: Apache-2.0
// The arguments of commands that take paths and --format. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cicd::ctl {

struct PathArguments {
  bool help = false;
  bool json = false;
  std::vector<std::string> paths;
};

// What is wrong with the arguments, or nothing.
std::optional<std::string> read_path_arguments(const std::vector<std::string>& arguments,
                                               PathArguments& options);

}  // namespace cicd::ctl
