// SPDX-License-Identifier: Apache-2.0
// What an event was about, in one line for reports: "read memory of /opt/Runner.Worker (pid 123)",
// a path, an address, a command line with its secrets taken out. At most 1 KiB and the name of an
// error. Bytes as the job gave them: whoever prints it must make them safe. Any thread; allocates.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "event/event_record.h"

namespace cicd {

// `redact_arguments` false: they come from rows or a document, where that was done.
std::string subject_of(const EventRecord& record, bool redact_arguments = true);

// Where the program's own arguments start. For a script argv holds the interpreter, its argument
// and the script as it was named, before them.
std::size_t first_argument(const std::vector<std::string>& argv, std::string_view script);

}  // namespace cicd
