// SPDX-License-Identifier: Apache-2.0
#include "path_arguments.h"

#include <cstdio>

#include "rule_validate.h"

namespace cicd::ctl {

const std::vector<std::string>& PathArguments::values_of(const std::string& flag) const {
  static const std::vector<std::string> kNone;
  const auto found = values.find(flag);
  return found == values.end() ? kNone : found->second;
}

std::optional<std::string> read_path_arguments(const std::vector<std::string>& arguments,
                                               PathArguments& options, const FlagNames& flags) {
  bool only_paths = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (only_paths || argument.empty() || argument[0] != '-' || argument == "-") {
      options.paths.push_back(argument);
      continue;
    }
    // -format is accepted like --format: the commands users know take both.
    const std::string dashed = argument.starts_with("--") ? argument : "-" + argument;
    const std::size_t equals = dashed.find('=');
    const std::string name = dashed.substr(0, equals);
    const bool has_value = equals != std::string::npos;
    if (argument == "--") {
      only_paths = true;
    } else if (argument == "-h" || dashed == "--help") {
      options.help = true;
    } else if (name == "--format" || flags.with_value.contains(name)) {
      if (!has_value && i + 1 == arguments.size() && name != "--format") {
        return name + " takes a value";
      }
      std::string value = has_value ? dashed.substr(equals + 1) : "";
      if (!has_value && i + 1 < arguments.size()) value = arguments[++i];
      if (name != "--format") {
        options.values[name].push_back(std::move(value));
        continue;
      }
      if (value != "text" && value != "json") return "--format takes text or json";
      options.json = value == "json";
    } else if (flags.switches.contains(dashed)) {
      options.switches.insert(dashed);
    } else {
      return "unknown flag " + argument;
    }
  }
  return std::nullopt;
}

int usage_error(const char* command, const std::string& what) {
  std::fprintf(stderr, "cicd-sensorctl %s: %s\nTry: cicd-sensorctl %s --help\n", command,
               what.c_str(), command);
  return kExitUsage;
}

int finish_output(const char* command, int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "cicd-sensorctl %s: cannot write to stdout\n", command);
  return kExitFindings;
}

}  // namespace cicd::ctl
