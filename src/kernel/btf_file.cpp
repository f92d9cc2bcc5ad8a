// SPDX-License-Identifier: Apache-2.0
#include "kernel/btf_file.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/unique_fd.h"
#include "kernel/libbpf_log.h"

namespace cicd {

namespace {

constexpr const char* kFolder = "/sys/kernel/btf";

std::string path_of(int file) { return "/proc/self/fd/" + std::to_string(file); }

Result<> check_content(int file, const std::string& path) {
  LibbpfLog log;
  btf* types = ::btf__parse(path_of(file).c_str(), nullptr);
  const bool is_of_kernel =
      types != nullptr && ::btf__find_by_name_kind(types, "task_struct", BTF_KIND_STRUCT) > 0;
  ::btf__free(types);
  if (is_of_kernel) return {};
  return fail(ErrorCode::kUnsupported, path + " holds no kernel type information (BTF)",
              "name a copy of the running kernel's /sys/kernel/btf/vmlinux");
}

Result<> put_in_place(const std::string& path, int file) {
  if (::access(kFolder, F_OK) != 0) {
    return fail(ErrorCode::kUnsupported,
                std::string(kFolder) + " is not there: a BTF file cannot stand in for it",
                "mount sysfs at /sys, and use a kernel built with CONFIG_DEBUG_INFO_BTF=y");
  }
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno(errno, "make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return fail_errno(errno, "keep mounts private");
  }
  if (::mount("none", kFolder, "tmpfs", 0, "mode=0755,size=64k") != 0) {
    return fail_errno(errno, std::string("mount over ") + kFolder);
  }
  // The file was opened outside of these mounts and can only be linked to.
  if (::symlink(path_of(file).c_str(), kKernelBtf) != 0) {
    return fail_errno(errno, "put " + path + " at " + kKernelBtf);
  }
  return {};
}

}  // namespace

Result<> with_btf_file(const std::string& path, const std::function<void()>& work) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, path);
  if (Result<> content = check_content(file.get(), path); !content) return content;
  Result<> placed;
  std::thread([&] {
    placed = put_in_place(path, file.get());
    if (placed) work();
  }).join();
  return placed;
}

}  // namespace cicd
