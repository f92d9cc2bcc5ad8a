// SPDX-License-Identifier: Apache-2.0
// Readers of flag values. Pure; any thread. Errors are kUsage and say what is allowed.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cicd {

// "250ms", "2s", "1.5s", "10m", "1h", "1m30s", "0". At most 24 hours; never negative.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "a,b": the names, each one of `allowed` ("a|b|c"), none of them twice or empty.
Result<std::vector<std::string>> parse_list(std::string_view text, std::string_view allowed);

// Whether `name` is one of "a|b|c".
bool is_choice(std::string_view name, std::string_view choices);

}  // namespace cicd
