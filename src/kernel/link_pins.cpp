// SPDX-License-Identifier: Apache-2.0
#include "kernel/link_pins.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace cicd {

namespace {

// Not in the libc of every system we build on.
long sys_fsopen(const char* type, unsigned flags) { return ::syscall(SYS_fsopen, type, flags); }
long sys_fsconfig_create(int fd) {
  return ::syscall(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
}
long sys_fsmount(int fd, unsigned flags) { return ::syscall(SYS_fsmount, fd, flags, 0); }

}  // namespace

Result<UniqueFd> detached_mount(const char* type) {
  UniqueFd context(static_cast<int>(sys_fsopen(type, FSOPEN_CLOEXEC)));
  if (!context) return fail_errno(errno, std::string("fsopen ") + type);
  if (sys_fsconfig_create(context.get()) != 0) {
    return fail_errno(errno, std::string("fsconfig ") + type);
  }
  UniqueFd mount(static_cast<int>(sys_fsmount(context.get(), FSMOUNT_CLOEXEC)));
  if (!mount) return fail_errno(errno, std::string("fsmount ") + type);
  return mount;
}

LinkPins::LinkPins() {
  Result<UniqueFd> mount = detached_mount("bpf");
  if (mount) {
    mount_ = std::move(*mount);
  } else {
    fallback_reason_ = mount.error().text;
  }
}

Result<> LinkPins::pin(const std::string& name, int link_fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(mount_.get()) + "/" + name;
  if (::bpf_obj_pin(link_fd, path.c_str()) != 0) return fail_errno(errno, "pin " + name);
  return {};
}

bool LinkPins::has(std::string_view name) const {
  if (held_.contains(name)) return true;
  return mount_ && ::faccessat(mount_.get(), std::string(name).c_str(), F_OK, 0) == 0;
}

void LinkPins::keep(std::string_view name, UniqueFd link) {
  std::string key(name);
  if (mount_) {
    Result<> pinned = pin(key, link.get());
    if (pinned) return;
    fallback_reason_ = pinned.error().text;
  }
  held_[std::move(key)] = std::move(link);
}

void LinkPins::drop(std::string_view name) {
  const std::string key(name);
  if (held_.erase(key) != 0) return;
  if (mount_) ::unlinkat(mount_.get(), key.c_str(), 0);
}

}  // namespace cicd
