// SPDX-License-Identifier: Apache-2.0
// The chain of programs behind an event, for people: "bash -> pip -> sh -> curl". Threads: pure.
#pragma once

#include <string>
#include <string_view>

#include "event/process.h"

namespace cicd {

// Last component of a path, "(unknown)" for an empty one. Not escaped.
std::string program_name(std::string_view exec_path);

// From the oldest to the one that acted; forks of one program count once; a script is named by its
// own name. Escaped, at most `columns` wide: when it is too long, links are left out after the
// first ones ("make -> ... -> sh -> curl").
std::string process_chain(const Process& process, int columns);

}  // namespace cicd
