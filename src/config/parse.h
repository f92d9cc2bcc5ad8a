// SPDX-License-Identifier: Apache-2.0
// parse_command_line: a program's arguments, read by its table. Everything from the first `--` on
// is the command to run and is never looked at; `-flag` (the style of Go programs) means `--flag`.
// Pure; any thread. The strings are copies.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/command_table.h"

namespace cicd {

struct CommandLine {
  enum class Wanted { kCommand, kHelp, kReferencePage, kVersion };
  Wanted wanted = Wanted::kCommand;
  const CommandSpec* command = nullptr;  // null with kVersion, and with the help of the program
  std::map<std::string, std::vector<std::string>, std::less<>> values;  // given or default
  std::vector<std::string> command_to_run;                              // what stands after `--`
  std::string operand;                                                  // of CommandSpec::operand

  bool has(std::string_view flag) const { return values.contains(flag); }
  // The last value given, the default, or "".
  std::string_view value(std::string_view flag) const;
};

// `args` without the program's name. Errors are kUsage, with a hint.
Result<CommandLine> parse_command_line(const CommandTable& table,
                                       std::span<const std::string> args);

}  // namespace cicd
