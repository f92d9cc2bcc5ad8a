// SPDX-License-Identifier: Apache-2.0
#include "this_kernel.h"

#include <bpf/btf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

namespace cicd::test {

bool kernel_has_struct(const std::string& name) {
  static const std::unique_ptr<btf, decltype(&::btf__free)> types(::btf__load_vmlinux_btf(),
                                                                  &::btf__free);
  return types && ::btf__find_by_name_kind(types.get(), name.c_str(), BTF_KIND_STRUCT) > 0;
}

bool kernel_has_call(long number) {
  return ::syscall(number, -1, nullptr, -1L, nullptr, 0L, 0L) == 0 || errno != ENOSYS;
}

LossReport without_recursion(LossReport report) {
  std::erase_if(report.entries, [](const LossEntry& entry) { return entry.reason == "recursion"; });
  return report;
}

bool kernel_has_modules() { return ::access("/proc/modules", F_OK) == 0; }

}  // namespace cicd::test
