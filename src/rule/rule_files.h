// SPDX-License-Identifier: Apache-2.0
// Reading YAML files of people: bounded, whole, UTF-8; and which files of a directory are meant.
// Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rule/rule_set.h"

namespace cicd {

// The bytes of a file of at most kMaxRuleFileBytes. Ends for /dev/zero too.
Result<std::string> read_rule_file(const std::string& path);

// The .yaml and .yml files directly in a directory, by name.
Result<std::vector<std::string>> list_rule_files(const std::string& directory);

// `text` without a byte order mark.
std::string_view without_byte_order_mark(std::string_view text);

// Offset of the first byte that is not UTF-8, or npos.
std::size_t find_broken_utf8(std::string_view text);

inline constexpr const char* kRuleFileTooLarge =
    "the file is larger than 4 MiB; split it into several files";
inline constexpr const char* kRuleFileNotUtf8 = "this byte is not UTF-8; save the file in UTF-8";

}  // namespace cicd
