// SPDX-License-Identifier: Apache-2.0
// Whether programs at kernel functions (fentry, fexit) can be had here at all: some kernels and
// security modules refuse them, some architectures load them and cannot attach them. One program of
// two instructions finds out, so that nothing else is loaded in vain. Threads: any.
#pragma once

#include "base/result.h"

struct btf;

namespace cicd {

// `kernel_types`: BTF of the running kernel itself.
Result<> probe_trampolines(const btf* kernel_types);

}  // namespace cicd
