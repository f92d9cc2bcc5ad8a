// SPDX-License-Identifier: Apache-2.0
// SHA-256 of a text, for revisions of rule files. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace cicd {

// 64 lower-case hexadecimal digits; empty when the library refuses (no memory).
std::string sha256_hex(std::string_view text);

}  // namespace cicd
