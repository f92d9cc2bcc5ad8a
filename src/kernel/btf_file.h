// SPDX-License-Identifier: Apache-2.0
// A file in the place of the kernel's own type information (BTF), where that cannot be read.
//
// libbpf looks for it in fixed places only, and what a program attaches to is looked up there too.
// So the work is done in a thread that sees the file in that place. The mount namespace is that
// thread's own: nobody else sees it, and it goes with the thread.
// Threads: any; `work` runs in another one while the caller waits.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace cicd {

inline constexpr const char* kKernelBtf = "/sys/kernel/btf/vmlinux";

// Errors: the file is no BTF, or it cannot be put in place; then `work` was not run.
Result<> with_btf_file(const std::string& path, const std::function<void()>& work);

}  // namespace cicd
