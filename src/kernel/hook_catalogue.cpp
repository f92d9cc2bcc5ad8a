// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_catalogue.h"

#include <linux/bpf.h>

#include <array>

namespace cicd {

namespace {

using enum AttachKind;

// arm64 has neither open nor creat; what a kernel does not have is left out when attaching.
constexpr std::string_view kOpenCalls[] = {"sys_exit_openat", "sys_exit_openat2", "sys_exit_open",
                                           "sys_exit_creat", "sys_exit_open_by_handle_at"};

constexpr std::string_view kChangeCalls[] = {
    "sys_exit_unlinkat",  "sys_exit_unlink", "sys_exit_rmdir",   "sys_exit_renameat2",
    "sys_exit_renameat",  "sys_exit_rename", "sys_exit_linkat",  "sys_exit_link",
    "sys_exit_symlinkat", "sys_exit_symlink", "sys_exit_truncate"};
constexpr std::string_view kMountCalls[] = {"sys_exit_mount", "sys_exit_umount",
                                            "sys_exit_pivot_root", "sys_exit_move_mount",
                                            "sys_exit_mount_setattr"};
constexpr std::string_view kUnixCalls[] = {"sys_exit_connect", "sys_exit_sendto",
                                           "sys_exit_sendmsg", "sys_exit_sendmmsg"};
// enum bpf_attach_type of kernels since 6.7, by number: our headers may be older.
constexpr int kCgroupUnixConnect = 49;
constexpr int kCgroupUnixSendmsg = 50;

constexpr HookInfo kHooks[] = {
    {"process_fork", HookFamily::kProcess, kTracing, "process_fork"},
    {"process_exec", HookFamily::kProcess, kTracing, "process_exec"},
    {"process_exit", HookFamily::kProcess, kTracing, "process_exit"},
    {"cgroup_made", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_removed", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_attached", HookFamily::kCgroup, kTracing, "cgroup"},
    {"connect4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET4_CONNECT},
    {"connect6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET6_CONNECT},
    {"sendmsg4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP4_SENDMSG},
    {"sendmsg6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP6_SENDMSG},
    {"open_returned", HookFamily::kFileOpen, kSyscall, "file_open", kOpenCalls},
    {"file_changed", HookFamily::kFileChange, kSyscall, "file_change", kChangeCalls},
    {"mount_changed", HookFamily::kMount, kSyscall, "mount", kMountCalls},
    {"unix_connect",
     HookFamily::kUnixCgroup,
     kCgroup,
     "unix_socket_connect",
     {},
     kCgroupUnixConnect},
    {"unix_sendmsg",
     HookFamily::kUnixCgroup,
     kCgroup,
     "unix_socket_connect",
     {},
     kCgroupUnixSendmsg},
    {"unix_called", HookFamily::kUnixSyscall, kSyscall, "unix_socket_connect", kUnixCalls},
};

constexpr std::string_view kExecPrograms[] = {"process_exec", "process_fork"};
constexpr std::string_view kExitPrograms[] = {"process_exit", "process_fork"};
constexpr std::string_view kConnectPrograms[] = {"connect4", "connect6", "sendmsg4", "sendmsg6"};
constexpr std::string_view kOpenPrograms[] = {"open_returned"};
constexpr std::string_view kEscapePrograms[] = {"cgroup_attached", "cgroup_made", "process_fork"};

constexpr std::string_view kChangePrograms[] = {"file_changed"};
constexpr std::string_view kMountPrograms[] = {"mount_changed"};
constexpr std::string_view kUnixHookPrograms[] = {"unix_connect", "unix_sendmsg"};
constexpr std::string_view kUnixCallPrograms[] = {"unix_called"};

constexpr std::string_view kChangeLimits =
    "32-bit system calls and io_uring are not seen. Paths are joined from what the caller gave; a "
    "second thread that changes the text during the call can show another name, and names by way "
    "of `..` are wrong when the call moved the working directory itself.";
constexpr std::string_view kMountLimits =
    "32-bit system calls are not seen, nor `fsconfig` on a file system that is mounted already. A "
    "mount made with the new API is seen when `move_mount` puts it in its place; where it was "
    "copied from is then told as a path in its own file system.";
constexpr EventBackend kUnixCalled = {
    EventType::kUnixSocketConnect, "syscall tracepoint", kUnixCallPrograms,
    "32-bit system calls and io_uring are not seen. A second thread that changes the address "
    "during the call can show another one."};

constexpr std::array<EventBackend, kEventTypeCount> kBackends = {{
    {EventType::kProcessExec, "tp_btf", kExecPrograms, ""},
    {EventType::kProcessExit, "tp_btf", kExitPrograms, ""},
    {EventType::kNetworkConnect, "cgroup", kConnectPrograms,
     "Raw and packet sockets are not seen, and no data on sockets that came connected from "
     "outside the job."},
    {EventType::kFileOpen, "syscall tracepoint", kOpenPrograms,
     "Opens by 32-bit system calls and by io_uring are not seen, nor those of the kernel itself "
     "(the program of an exec is a process_exec)."},
    {EventType::kCgroupEscape, "tp_btf", kEscapePrograms, ""},
    {EventType::kMonitoringGap, "sensor", {}, ""},
    {EventType::kUnixSocketConnect, "cgroup", kUnixHookPrograms, "", &kUnixCalled},
    {EventType::kFileRemove, "syscall tracepoint", kChangePrograms, kChangeLimits},
    {EventType::kFileMove, "syscall tracepoint", kChangePrograms, kChangeLimits},
    {EventType::kFileLink, "syscall tracepoint", kChangePrograms, kChangeLimits},
    {EventType::kMount, "syscall tracepoint", kMountPrograms, kMountLimits},
    {EventType::kDomain, kNoBackend, {}, ""},
    {EventType::kHttpRequest, kNoBackend, {}, ""},
    {EventType::kPtrace, kNoBackend, {}, ""},
    {EventType::kMemoryRead, kNoBackend, {}, ""},
    {EventType::kPrivilegeChange, kNoBackend, {}, ""},
    {EventType::kNamespaceChange, kNoBackend, {}, ""},
    {EventType::kModuleLoad, kNoBackend, {}, ""},
    {EventType::kBpfUse, kNoBackend, {}, ""},
    {EventType::kIoUringOp, kNoBackend, {}, ""},
    {EventType::kSignal, kNoBackend, {}, ""},
    {EventType::kExecMemory, kNoBackend, {}, ""},
}};

}  // namespace

std::span<const HookInfo> hooks() { return kHooks; }
std::span<const EventBackend> event_backends() { return kBackends; }

}  // namespace cicd
