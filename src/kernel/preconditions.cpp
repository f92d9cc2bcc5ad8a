// SPDX-License-Identifier: Apache-2.0
#include "kernel/preconditions.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/descriptors.h"
#include "kernel/btf_file.h"
#include "kernel/kernel_release.h"

namespace cicd {

namespace {

constexpr KernelRelease kFloor{5, 10};

Result<> check_kernel_age() {
  const KernelRelease release = running_kernel();
  // One that cannot be read is left to what it can do.
  if (release == KernelRelease{} || release >= kFloor) return {};
  return fail(ErrorCode::kUnsupported,
              "kernel " + std::to_string(release.major) + "." + std::to_string(release.minor) +
                  " is too old: 5.10 or later is needed",
              "use a host with a newer kernel (Debian 11, Ubuntu 22.04 or later)");
}

Result<> refused(int error) {
  if (error == ENOSYS) {
    return fail(ErrorCode::kUnsupported, "this kernel has no bpf(2)",
                "use a kernel built with CONFIG_BPF_SYSCALL=y");
  }
  if (error == EPERM && ::geteuid() != 0) {
    return fail(ErrorCode::kPermission, "not permitted to load kernel programs (bpf: EPERM)",
                "run it as root: " + sudo_command());
  }
  if (error == EPERM) {
    return fail(ErrorCode::kPermission, "bpf(2) is refused although we are root (EPERM)",
                "a container runtime, seccomp or kernel lockdown forbids it: run on the host, or "
                "with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN");
  }
  if (error == ENOMEM) {
    return fail(ErrorCode::kResource, "no memory for BPF maps",
                "raise the limit on locked memory: ulimit -l unlimited");
  }
  return fail_errno(error, "bpf(2) does not work");
}

Result<> check_bpf() {
  // Kernels before 5.11 charge maps to the limit on locked memory.
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &unlimited);
  allow_many_descriptors();
  UniqueFd map(::bpf_map_create(BPF_MAP_TYPE_HASH, nullptr, 4, 4, 1, nullptr));
  if (!map) return refused(errno);
  return {};
}

Result<> check_btf(const std::string& btf_path) {
  const std::string path = btf_path.empty() ? kKernelBtf : btf_path;
  if (::access(path.c_str(), R_OK) == 0) return {};
  return fail(ErrorCode::kUnsupported, "kernel type information (BTF) is missing: " + path,
              btf_path.empty()
                  ? "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (the kernels of "
                    "Debian 11, Ubuntu 22.04 and later are); where only the file is hidden, name "
                    "a copy with --btf"
                  : "name the BTF file of the running kernel, or leave the option out");
}

// Octal escapes of /proc/self/mountinfo: space, tab, newline, backslash.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string sudo_command() {
  constexpr std::size_t kLongest = 300;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string argument;
  std::string out = "sudo";
  while (std::getline(file, argument, '\0')) {
    out += ' ';
    const bool plain =
        !argument.empty() && argument.find_first_not_of(
                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "_-./:=,+@%") == std::string::npos;
    if (plain) {
      out += argument;
      continue;
    }
    out += '\'';
    for (const char c : argument) {
      if (c == '\'') out += "'\\'";
      out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
    }
    out += '\'';
  }
  if (out.size() > kLongest) out = out.substr(0, kLongest) + " ...";
  return out;
}

Result<> check_preconditions(const std::string& btf_path) {
  if (Result<> age = check_kernel_age(); !age) return age;
  if (Result<> bpf = check_bpf(); !bpf) return bpf;
  return check_btf(btf_path);
}

Result<UniqueFd> open_cgroup_root() {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    if (!std::string_view(line).substr(separator + 3).starts_with("cgroup2 ")) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    UniqueFd fd(::open(unescape(point).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) return fd;
  }
  return fail(ErrorCode::kUnsupported, "cgroup v2 is not mounted",
              "mount it: sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 none "
              "/sys/fs/cgroup/unified");
}

}  // namespace cicd
