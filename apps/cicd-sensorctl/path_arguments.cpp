// SPDX-License-Identifier: Apache-2.0
#include "path_arguments.h"

namespace cicd::ctl {

std::optional<std::string> read_path_arguments(const std::vector<std::string>& arguments,
                                               PathArguments& options) {
  bool only_paths = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (only_paths || argument.empty() || argument[0] != '-') {
      options.paths.push_back(argument);
      continue;
    }
    // -format is accepted like --format: the commands users know take both.
    const std::string name = argument.starts_with("--") ? argument : "-" + argument;
    if (argument == "--") {
      only_paths = true;
    } else if (argument == "-h" || name == "--help") {
      options.help = true;
    } else if (name == "--format" || name.starts_with("--format=")) {
      std::string value;
      if (name != "--format") {
        value = name.substr(name.find('=') + 1);
      } else if (i + 1 < arguments.size()) {
        value = arguments[++i];
      }
      if (value != "text" && value != "json") return "--format takes text or json";
      options.json = value == "json";
    } else {
      return "unknown flag " + argument;
    }
  }
  return std::nullopt;
}

}  // namespace cicd::ctl
