// SPDX-License-Identifier: Apache-2.0
#include "config/help.h"

namespace cicd {

namespace {

constexpr std::size_t kColumns = 80;

// Markdown's code marks are for the page only.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '`') out += c;
  }
  return out;
}

// Appends `text` word by word, `indent` columns in, as if `used` columns of a line were taken.
void wrap(std::string& out, std::string_view text, std::size_t indent, std::size_t used) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (word.empty()) continue;
    if (used > indent && used + 1 + word.size() > kColumns) {
      out += '\n';
      used = 0;
    }
    if (used < indent) {
      out.append(indent - used, ' ');
      used = indent;
    } else if (used > indent) {
      out += ' ';
      ++used;
    }
    out += word;
    used += word.size();
  }
  out += '\n';
}

// "  name      text", the text wrapped in its own column.
void entry(std::string& out, std::string_view name, std::string_view text, std::size_t column) {
  out += "  ";
  out += name;
  std::size_t used = 2 + name.size();
  if (used + 2 > column) {
    out += '\n';
    used = 0;
  }
  wrap(out, plain(text), column, used);
}

std::string spelled(const FlagSpec& flag) {
  std::string text = "--" + std::string(flag.name);
  if (!flag.value.empty()) text += " " + std::string(flag.value) + (flag.is_list ? "..." : "");
  return text;
}

std::string described(const FlagSpec& flag) {
  std::string text(flag.doc);
  if (!flag.choices.empty()) {
    std::string choices;
    for (const char c : flag.choices) choices += c == '|' ? std::string(", ") : std::string(1, c);
    text += " One of: " + choices + ".";
  }
  if (!flag.standard.empty()) text += " Default: `" + std::string(flag.standard) + "`.";
  return text;
}

std::string synopsis(const CommandTable& table, const CommandSpec& command) {
  std::string text = std::string(table.program) + " " + std::string(command.name);
  if (!command.synopsis.empty()) text += " " + std::string(command.synopsis);
  return text;
}

void list(std::string& out, std::string_view title, std::span<const NamedDoc> items,
          std::size_t column) {
  if (items.empty()) return;
  out += "\n" + std::string(title) + "\n";
  for (const NamedDoc& item : items) entry(out, item.name, item.doc, column);
}

void definitions(std::string& out, std::string_view title, std::span<const NamedDoc> items) {
  if (items.empty()) return;
  out += "\n## " + std::string(title) + "\n\n";
  for (const NamedDoc& item : items) {
    out += "- `" + std::string(item.name) + "`: " + std::string(item.doc) + "\n";
  }
}

}  // namespace

std::string program_help(const CommandTable& table) {
  std::string out;
  wrap(out, std::string(table.program) + ": " + std::string(table.summary), 0, 0);
  out += "\nCommands\n";
  for (const CommandSpec& command : table.commands) entry(out, command.name, command.summary, 12);
  out += "\nFlags\n";
  entry(out, "--help", "Help, also of a command.", 12);
  entry(out, "--version", "The version.", 12);
  list(out, "Exit codes", table.exit_codes, 12);
  return out;
}

std::string command_help(const CommandTable& table, const CommandSpec& command) {
  std::string out = "Usage: " + synopsis(table, command) + "\n\n";
  wrap(out, plain(command.doc), 0, 0);
  if (!command.flags.empty()) out += "\nFlags\n";
  for (const FlagSpec& flag : command.flags) entry(out, spelled(flag), described(flag), 20);
  if (!command.examples.empty()) out += "\nExamples\n";
  for (const NamedDoc& example : command.examples) {
    out += "  " + std::string(example.name) + "\n";
    wrap(out, plain(example.doc), 6, 0);
  }
  list(out, "Exit codes", table.exit_codes, 12);
  return out;
}

std::string reference_page(const CommandTable& table) {
  std::string out = "# " + std::string(table.program) + "\n\n" +
                    "Made from the program's own tables by `" + std::string(table.program) +
                    " help --markdown`; do not edit.\n\n" + std::string(table.summary) + "\n";
  for (const CommandSpec& command : table.commands) {
    out += "\n## " + std::string(table.program) + " " + std::string(command.name) + "\n\n```\n" +
           synopsis(table, command) + "\n```\n\n" + std::string(command.doc) + "\n";
    if (!command.flags.empty()) out += "\n| Flag | Meaning |\n|---|---|\n";
    for (const FlagSpec& flag : command.flags) {
      out += "| `" + spelled(flag) + "` | " + described(flag) + " |\n";
    }
    if (!command.examples.empty()) out += "\nExamples:\n";
    for (const NamedDoc& example : command.examples) {
      out += "\n- " + std::string(example.doc) + "\n  `" + std::string(example.name) + "`\n";
    }
  }
  definitions(out, "Exit codes", table.exit_codes);
  definitions(out, "Environment", table.environment);
  definitions(out, "Files", table.files);
  return out;
}

}  // namespace cicd
