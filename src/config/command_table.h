// SPDX-License-Identifier: Apache-2.0
// CommandTable: everything a program accepts, as data: its commands, their flags with defaults and
// documentation, its exit codes, environment and files. The parser, `--help` and the reference page
// docs/reference/cli.md are all made from it, so they cannot drift apart.
// Pure data with static lifetime; any thread.
#pragma once

#include <span>
#include <string_view>

namespace cicd {

struct FlagSpec {
  std::string_view name;          // without dashes
  std::string_view value;         // what stands for the value in help ("DIR"); empty: takes none
  std::string_view standard;      // the default as it would be typed; empty: none
  std::string_view doc;           // sentences, Markdown
  std::string_view choices = {};  // allowed values joined by "|"; empty: any
  bool is_list = false;           // several values, and the flag may be given again
};

struct NamedDoc {
  std::string_view name;
  std::string_view doc;
};

struct CommandSpec {
  std::string_view name;
  std::string_view summary;   // one line
  std::string_view synopsis;  // what follows the command's name
  std::string_view doc;       // paragraphs, Markdown
  std::span<const FlagSpec> flags;
  std::span<const NamedDoc> examples;  // command line, what it does
  bool takes_command = false;          // needs "-- COMMAND [ARG...]"
  std::string_view operand = {};       // the one argument it needs besides flags ("FILE")
};

struct CommandTable {
  std::string_view program;
  std::string_view summary;
  std::span<const CommandSpec> commands;
  std::span<const NamedDoc> exit_codes;
  std::span<const NamedDoc> environment;
  std::span<const NamedDoc> files;
};

// The table of `cicd-sensor`.
const CommandTable& sensor_table();

}  // namespace cicd
