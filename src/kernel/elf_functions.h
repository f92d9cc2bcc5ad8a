// SPDX-License-Identifier: Apache-2.0
// Where functions of a shared library are in its file, from its dynamic symbols. The file is
// hostile: it is read with pread in bounded pieces (a mapped one can shrink under the reader), and
// every number in it is checked. 64-bit little-endian ELF only.
// Threads: any. Format: elf(5).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cicd {

// File offset of each function of `names`, 0 for one that is not defined there in code.
Result<std::vector<std::uint64_t>> find_elf_functions(int fd,
                                                      std::span<const std::string_view> names);

}  // namespace cicd
