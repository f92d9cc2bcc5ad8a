// SPDX-License-Identifier: Apache-2.0
// Help and reference page, made from a program's table. Pure; any thread.
#pragma once

#include <string>

#include "config/command_table.h"

namespace cicd {

// What `PROGRAM --help` prints (80 columns).
std::string program_help(const CommandTable& table);
// What `PROGRAM COMMAND --help` prints.
std::string command_help(const CommandTable& table, const CommandSpec& command);
// docs/reference/cli.md.
std::string reference_page(const CommandTable& table);

}  // namespace cicd
