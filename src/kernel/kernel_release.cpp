// SPDX-License-Identifier: Apache-2.0
#include "kernel/kernel_release.h"

#include <sys/utsname.h>

#include <charconv>

namespace cicd {

KernelRelease parse_kernel_release(const std::string& release) {
  KernelRelease out;
  const char* end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, out.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return {};
  const auto minor = std::from_chars(major.ptr + 1, end, out.minor);
  if (minor.ec != std::errc()) return {};
  return out;
}

KernelRelease running_kernel() {
  utsname names{};
  if (::uname(&names) != 0) return {};
  return parse_kernel_release(names.release);
}

}  // namespace cicd
