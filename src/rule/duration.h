// SPDX-License-Identifier: Apache-2.0
// Durations as the Common Expression Language writes them: "1h30m", "1.5s", "-10ms", "0". Any
// thread; allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cicd {

// Nanoseconds; nothing when `text` is no duration or does not fit.
std::optional<std::int64_t> parse_duration(std::string_view text);

}  // namespace cicd
