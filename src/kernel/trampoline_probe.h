// SPDX-License-Identifier: Apache-2.0
// Whether programs at kernel functions (fentry, fexit) can be had here at all: some kernels and
// security modules refuse them, some architectures load them and cannot attach them. One program of
// two instructions finds out, so that nothing else is loaded in vain. Threads: any.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

struct btf;

namespace cicd {

// `kernel_types`: BTF of the running kernel itself.
Result<> probe_trampolines(const btf* kernel_types);

// Those of the functions that the compiler has split (f.part.0, f.isra.0, f.constprop.0): callers
// of the same file pass by the function itself, and a program that is put there misses them.
std::set<std::string, std::less<>> split_functions(const std::set<std::string_view>& functions,
                                                   const char* symbols = "/proc/kallsyms");

}  // namespace cicd
