// SPDX-License-Identifier: Apache-2.0
// The arguments of commands that take paths and --format, and what else all commands do alike. One
// thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cicd::ctl {

struct PathArguments {
  bool help = false;
  bool json = false;
  std::vector<std::string> paths;
  std::map<std::string, std::vector<std::string>> values;  // of flags with a value, as given
  std::set<std::string> switches;                          // flags without one

  const std::vector<std::string>& values_of(const std::string& flag) const;
};

// Flags of a command besides --help and --format, with their dashes.
struct FlagNames {
  std::set<std::string> with_value;  // each may be given again
  std::set<std::string> switches;
};

// What is wrong with the arguments, or nothing. "-" is a path.
std::optional<std::string> read_path_arguments(const std::vector<std::string>& arguments,
                                               PathArguments& options, const FlagNames& flags = {});

// Says what is wrong with the call of `command` ("rule test"); the exit code.
int usage_error(const char* command, const std::string& what);

// Ends a command that wrote to stdout: `code`, or that of a failure when it could not be written. A
// pipe that went away or a full disk must not pass for success.
int finish_output(const char* command, int code);

}  // namespace cicd::ctl
