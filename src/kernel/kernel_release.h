// SPDX-License-Identifier: Apache-2.0
// Release of the running kernel. Any thread.
#pragma once

#include <compare>
#include <string>

namespace cicd {

struct KernelRelease {
  int major = 0;
  int minor = 0;
  auto operator<=>(const KernelRelease&) const = default;
};

// "6.18.44-something" -> {6, 18}; {0, 0} when it is not of that form.
KernelRelease parse_kernel_release(const std::string& release);
KernelRelease running_kernel();

}  // namespace cicd
