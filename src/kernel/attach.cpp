// SPDX-License-Identifier: Apache-2.0
#include "kernel/attach.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>

#include "kernel/link_pins.h"

namespace cicd {

Result<UniqueFd> attach_tracing(int program_fd) {
  UniqueFd link(::bpf_raw_tracepoint_open(nullptr, program_fd));
  if (!link) return fail_errno(errno, "attach tracepoint");
  return link;
}

Result<UniqueFd> attach_cgroup(int program_fd, int cgroup_fd, int attach_type) {
  UniqueFd link(
      ::bpf_link_create(program_fd, cgroup_fd, static_cast<bpf_attach_type>(attach_type), nullptr));
  if (!link) return fail_errno(errno, "attach to the cgroup root");
  return link;
}

Result<SyscallTracepoints> SyscallTracepoints::open() {
  Result<UniqueFd> mount = detached_mount("tracefs");
  if (mount) return SyscallTracepoints(std::move(*mount));
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    UniqueFd root(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (root && ::faccessat(root.get(), "events", F_OK, 0) == 0) {
      return SyscallTracepoints(std::move(root));
    }
  }
  return std::unexpected(std::move(mount).error().with_context("no tracefs"));
}

Result<unsigned long> SyscallTracepoints::id_of(std::string_view name) const {
  const std::string path = "events/syscalls/" + std::string(name) + "/id";
  UniqueFd file(::openat(root_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, "tracepoint " + std::string(name));
  char text[32] = {};
  const ssize_t bytes = ::read(file.get(), text, sizeof(text) - 1);
  if (bytes <= 0) return fail_errno(bytes < 0 ? errno : EIO, "tracepoint " + std::string(name));
  return std::strtoul(text, nullptr, 10);
}

namespace {

UniqueFd link_or_set(int program_fd, int event_fd) {
  UniqueFd link(::bpf_link_create(program_fd, event_fd, BPF_PERF_EVENT, nullptr));
  if (link || errno == EEXIST) return link;
  // Before 5.15 there is no link: the event itself holds the program.
  if (::ioctl(event_fd, PERF_EVENT_IOC_SET_BPF, program_fd) != 0) return {};
  return UniqueFd(::fcntl(event_fd, F_DUPFD_CLOEXEC, 3));
}

// A program can be attached to a tracepoint once. Where it was let go just before, the kernel is
// still at it in the background (a grace period for each tracepoint).
Result<UniqueFd> link_to_event(int program_fd, int event_fd, std::string_view name) {
  constexpr std::chrono::seconds kPatience{5};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    UniqueFd link = link_or_set(program_fd, event_fd);
    if (link) return link;
    if (errno != EEXIST || std::chrono::steady_clock::now() > deadline) {
      return fail_errno(errno, "attach to " + std::string(name));
    }
    ::usleep(1000);
  }
}

}  // namespace

Result<UniqueFd> SyscallTracepoints::attach(std::string_view name, int program_fd) const {
  Result<unsigned long> id = id_of(name);
  if (!id) return std::unexpected(std::move(id).error());
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof(attr);
  attr.config = *id;
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  // One event on one CPU: the BPF program runs for the tracepoint wherever it is hit.
  UniqueFd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) return fail_errno(errno, "perf event of " + std::string(name));
  Result<UniqueFd> link = link_to_event(program_fd, event.get(), name);
  if (!link) return link;
  if (::ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) {
    return fail_errno(errno, "enable " + std::string(name));
  }
  return link;
}

namespace {

Result<std::string> read_source_file(const char* name) {
  const std::string path = std::string("/sys/bus/event_source/devices/uprobe/") + name;
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!file || ::read(file.get(), text, sizeof(text) - 1) <= 0) return fail_errno(errno, path);
  return std::string(text);
}

}  // namespace

Result<Uprobes> Uprobes::open() {
  Uprobes uprobes;
  Result<std::string> type = read_source_file("type");
  if (!type) return std::unexpected(std::move(type).error().with_context("no uprobes"));
  uprobes.type_ = static_cast<std::uint32_t>(std::strtoul(type->c_str(), nullptr, 10));
  Result<std::string> format = read_source_file("format/retprobe");  // "config:0"
  if (!format) return std::unexpected(std::move(format).error().with_context("no uprobes"));
  const std::size_t colon = format->find(':');
  if (colon == std::string::npos) return fail(ErrorCode::kUnsupported, "no return probes");
  uprobes.return_bit_ = std::uint64_t{1}
                        << (std::strtoul(format->c_str() + colon + 1, nullptr, 10) & 63);
  return uprobes;
}

Result<UniqueFd> Uprobes::attach(int program_fd, const std::string& path, std::uint64_t offset,
                                 bool is_return) const {
  perf_event_attr attr{};
  attr.type = type_;
  attr.size = sizeof(attr);
  attr.config = is_return ? return_bit_ : 0;
  attr.uprobe_path = reinterpret_cast<std::uint64_t>(path.c_str());
  attr.probe_offset = offset;
  UniqueFd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) return fail_errno(errno, "probe");
  Result<UniqueFd> link = link_to_event(program_fd, event.get(), "probe");
  if (!link) return link;
  if (::ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) return fail_errno(errno, "enable probe");
  return link;
}

}  // namespace cicd
