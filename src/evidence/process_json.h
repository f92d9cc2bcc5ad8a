// SPDX-License-Identifier: Apache-2.0
// The process object of a log row, with its ancestors. Threads: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/json_writer.h"
#include "event/process.h"

namespace cicd {

// {"pid":..,"exec_path":..,"argv":[..],"ancestors":[..],"uid":..,"cwd":..,"start_time":..}
// `boot_epoch_ns`: CLOCK_REALTIME minus CLOCK_BOOTTIME, which makes a time of the start.
// `max_argv_bytes`: of the process's own argv, as with append_argv.
void append_process_object(JsonWriter& json, const Process& process, std::uint64_t boot_epoch_ns,
                           bool redact, std::size_t max_argv_bytes);

// Whether append_argv would write all of it.
bool fits(std::span<const std::string> argv, std::size_t max_bytes);

// Members "argv" and, when an element is not valid UTF-8, "argv_base64" with the bytes of every
// element as it was written (redacted, when it is). Elements beyond `max_bytes` in all become one
// element that says how many. Nothing for an empty argv.
void append_argv(JsonWriter& json, std::string_view name, std::span<const std::string> argv,
                 bool redact, std::size_t max_bytes);

}  // namespace cicd
