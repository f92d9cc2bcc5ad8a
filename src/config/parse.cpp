// SPDX-License-Identifier: Apache-2.0
#include "config/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "config/values.h"

namespace cicd {

namespace {

std::string help_hint(const CommandTable& table, const CommandSpec* command) {
  std::string text(table.program);
  if (command != nullptr) text += " " + std::string(command->name);
  return text + " --help tells what is accepted";
}

const CommandSpec* find_command(const CommandTable& table, std::string_view name) {
  for (const CommandSpec& command : table.commands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

// Takes the name of a command, of one word or two ("agent start"), off the front.
const CommandSpec* take_command(const CommandTable& table, std::vector<std::string>& words) {
  if (words.size() > 1) {
    if (const CommandSpec* command = find_command(table, words[0] + " " + words[1])) {
      words.erase(words.begin(), words.begin() + 2);
      return command;
    }
  }
  const CommandSpec* command = find_command(table, words[0]);
  if (command != nullptr) words.erase(words.begin());
  return command;
}

// What was meant by a name that is none: "agent" has commands below it, others have not.
std::unexpected<Error> unknown_command(const CommandTable& table,
                                       const std::vector<std::string>& words) {
  std::string known;
  for (const CommandSpec& command : table.commands) {
    if (!command.name.starts_with(words[0] + " ")) continue;
    known += (known.empty() ? "" : ", ") + std::string(command.name);
  }
  const std::string what = words[0].starts_with("-") ? "unknown flag " : "unknown command ";
  if (known.empty()) return fail(ErrorCode::kUsage, what + words[0], help_hint(table, nullptr));
  const bool has_second = words.size() > 1 && !words[1].starts_with("-");
  return fail(ErrorCode::kUsage, what + words[0] + (has_second ? " " + words[1] : ""),
              "there are: " + known);
}

bool is_help(std::string_view arg) { return arg == "--help" || arg == "-help" || arg == "-h"; }

// "-flag" and "-flag=x" become "--flag"; "-", "-x" and numbers stay.
std::string with_two_dashes(const std::string& arg) {
  const bool is_long = arg.size() > 2 && arg[0] == '-' && arg[1] != '-' &&
                       std::isalpha(static_cast<unsigned char>(arg[1])) != 0;
  return is_long ? "-" + arg : arg;
}

// CLI11's options of one command, and where they put their values.
struct Reader {
  CLI::App app;
  std::vector<std::pair<const FlagSpec*, std::vector<std::string>>> values;
  std::vector<std::string> stray;

  explicit Reader(const CommandSpec& command) {
    app.set_help_flag();
    app.prefix_command(false);
    values.reserve(command.flags.size());
    for (const FlagSpec& flag : command.flags) values.push_back({&flag, {}});
    for (auto& [flag, target] : values) {
      const std::string name = "--" + std::string(flag->name);
      if (flag->value.empty()) {
        app.add_flag(name)->disable_flag_override();
        continue;
      }
      CLI::Option* option = app.add_option(name, target);
      if (flag->is_list) continue;
      // Without extra arguments CLI11 does not take "[a,b]" apart.
      option->expected(1)->allow_extra_args(false);
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    app.allow_extras();
  }
};

Result<void> check_choice(const FlagSpec& flag, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (value.empty()) {
      return fail(ErrorCode::kUsage, "--" + std::string(flag.name) + " needs a value",
                  "--" + std::string(flag.name) + " " + std::string(flag.value));
    }
    if (flag.choices.empty() || is_choice(value, flag.choices)) continue;
    return fail(ErrorCode::kUsage,
                "--" + std::string(flag.name) + ": '" + value + "' is not accepted",
                "allowed: " + std::string(flag.choices));
  }
  return {};
}

std::unexpected<Error> stray_argument(const CommandTable& table, const CommandSpec& command,
                                      const std::string& arg) {
  if (arg.starts_with("-")) {
    return fail(ErrorCode::kUsage, "unknown flag " + arg.substr(0, arg.find('=')),
                help_hint(table, &command));
  }
  return fail(
      ErrorCode::kUsage, "unexpected argument '" + arg + "'",
      command.takes_command ? "put -- before the command to run" : help_hint(table, &command));
}

// What is left when the flags are read: the operand of a command that has one, and nothing else.
Result<void> take_operand(const CommandTable& table, const CommandSpec& command,
                          const std::vector<std::string>& rest, CommandLine& line) {
  for (const std::string& arg : rest) {
    const bool is_operand = !command.operand.empty() && line.operand.empty() && !arg.empty();
    if (!is_operand || arg.starts_with("-")) return stray_argument(table, command, arg);
    line.operand = arg;
  }
  if (command.operand.empty() || !line.operand.empty()) return {};
  return fail(ErrorCode::kUsage, "no " + std::string(command.operand) + " given",
              std::string(table.program) + " " + std::string(command.name) + " " +
                  std::string(command.synopsis));
}

Result<void> read_flags(const CommandTable& table, const CommandSpec& command,
                        std::vector<std::string> args, CommandLine& line) {
  Reader reader(command);
  try {
    std::ranges::reverse(args);  // CLI11 takes them from the back
    reader.app.parse(args);
  } catch (const CLI::ParseError& error) {
    std::string text = error.what();
    std::ranges::replace(text, '\n', ' ');
    return fail(ErrorCode::kUsage, text, help_hint(table, &command));
  }
  CICD_TRY(take_operand(table, command, reader.app.remaining(), line));
  for (auto& [flag, given] : reader.values) {
    if (flag->value.empty()) {
      if (reader.app.count("--" + std::string(flag->name)) > 0) {
        line.values[std::string(flag->name)];
      }
      continue;
    }
    CICD_TRY(check_choice(*flag, given));
    if (!given.empty()) {
      line.values[std::string(flag->name)] = std::move(given);
    } else if (!flag->standard.empty()) {
      line.values[std::string(flag->name)] = {std::string(flag->standard)};
    }
  }
  return {};
}

}  // namespace

std::string_view CommandLine::value(std::string_view flag) const {
  const auto found = values.find(flag);
  if (found == values.end() || found->second.empty()) return {};
  return found->second.back();
}

Result<CommandLine> parse_command_line(const CommandTable& table,
                                       std::span<const std::string> args) {
  CommandLine line;
  const auto split = std::ranges::find(args, "--");
  std::vector<std::string> own(args.begin(), split);
  if (split != args.end()) line.command_to_run.assign(std::next(split), args.end());
  std::ranges::transform(own, own.begin(), with_two_dashes);

  if (own.empty()) {
    return fail(ErrorCode::kUsage, "no command given", help_hint(table, nullptr));
  }
  if (is_help(own.front()) || own.front() == "help") {
    line.wanted = CommandLine::Wanted::kHelp;
    if (own.size() == 1 || is_help(own[1])) return line;
    if (own[1] == "--markdown") {
      line.wanted = CommandLine::Wanted::kReferencePage;
      return line;
    }
    own.erase(own.begin());
    line.command = take_command(table, own);
    if (line.command != nullptr) return line;
    return unknown_command(table, own);
  }
  if (own.front() == "--version" || own.front() == "-v" || own.front() == "version") {
    line.wanted = CommandLine::Wanted::kVersion;
    return line;
  }
  line.command = take_command(table, own);
  if (line.command == nullptr) return unknown_command(table, own);
  if (std::ranges::any_of(own, is_help)) {
    line.wanted = CommandLine::Wanted::kHelp;
    return line;
  }
  CICD_TRY(read_flags(table, *line.command, std::move(own), line));
  if (line.command->takes_command && line.command_to_run.empty()) {
    return fail(ErrorCode::kUsage, "no command to run",
                std::string(table.program) + " " + std::string(line.command->name) +
                    " [flags] -- COMMAND [ARG...]");
  }
  if (!line.command->takes_command && split != args.end()) {
    return fail(ErrorCode::kUsage, std::string(line.command->name) + " takes no command to run",
                help_hint(table, line.command));
  }
  return line;
}

}  // namespace cicd
