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
constexpr std::string_view kPtraceCalls[] = {"sys_exit_ptrace", "sys_exit_pidfd_getfd"};
constexpr std::string_view kMemoryCalls[] = {"sys_exit_process_vm_readv",
                                             "sys_exit_process_vm_writev"};
constexpr std::string_view kKillCalls[] = {
    "sys_exit_kill",          "sys_exit_tkill",           "sys_exit_tgkill",
    "sys_exit_rt_sigqueueinfo", "sys_exit_rt_tgsigqueueinfo", "sys_exit_pidfd_send_signal"};
constexpr std::string_view kMprotectCalls[] = {"sys_exit_mprotect", "sys_exit_pkey_mprotect"};
constexpr std::string_view kMmapCalls[] = {"sys_exit_mmap"};

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
    {"ptrace_returned", HookFamily::kTarget, kSyscall, "ptrace", kPtraceCalls},
    {"memory_returned", HookFamily::kTarget, kSyscall, "memory_read", kMemoryCalls},
    {"kill_returned", HookFamily::kTarget, kSyscall, "signal", kKillCalls},
    {"signal_generated", HookFamily::kSignal, kTracing, "signal"},
    {"mprotect_returned", HookFamily::kExecMemory, kSyscall, "exec_memory", kMprotectCalls},
    {"mmap_returned", HookFamily::kExecMemory, kSyscall, "exec_memory", kMmapCalls},
};

constexpr std::string_view kExecPrograms[] = {"process_exec", "process_fork"};
constexpr std::string_view kExitPrograms[] = {"process_exit", "process_fork"};
constexpr std::string_view kConnectPrograms[] = {"connect4", "connect6", "sendmsg4", "sendmsg6"};
constexpr std::string_view kOpenPrograms[] = {"open_returned"};
constexpr std::string_view kPtracePrograms[] = {"ptrace_returned"};
constexpr std::string_view kMemoryPrograms[] = {"memory_returned", "open_returned"};
constexpr std::string_view kSignalPrograms[] = {"signal_generated", "kill_returned"};
constexpr std::string_view kExecMemoryPrograms[] = {"mprotect_returned", "mmap_returned"};
constexpr std::string_view kEscapePrograms[] = {"cgroup_attached", "cgroup_made", "process_fork"};

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
    {EventType::kUnixSocketConnect, kNoBackend, {}, ""},
    {EventType::kFileRemove, kNoBackend, {}, ""},
    {EventType::kFileMove, kNoBackend, {}, ""},
    {EventType::kFileLink, kNoBackend, {}, ""},
    {EventType::kMount, kNoBackend, {}, ""},
    {EventType::kDomain, kNoBackend, {}, ""},
    {EventType::kHttpRequest, kNoBackend, {}, ""},
    {EventType::kPtrace, "syscall tracepoint", kPtracePrograms,
     "32-bit system calls are not seen. Of requests only those that take control of a process or "
     "read or change its memory and registers are reported, each once for a program and target."},
    {EventType::kMemoryRead, "syscall tracepoint", kMemoryPrograms,
     "32-bit system calls and opens by io_uring are not seen; an open in /proc that was refused is "
     "a file_open with its error only. Each is reported once for a program, target and method."},
    {EventType::kPrivilegeChange, kNoBackend, {}, ""},
    {EventType::kNamespaceChange, kNoBackend, {}, ""},
    {EventType::kModuleLoad, kNoBackend, {}, ""},
    {EventType::kBpfUse, kNoBackend, {}, ""},
    {EventType::kIoUringOp, kNoBackend, {}, ""},
    {EventType::kSignal, "tp_btf", kSignalPrograms,
     "Each is reported once for a program, target and signal. Refused signals to a process group "
     "or to all processes, or by a 32-bit system call, are not seen."},
    {EventType::kExecMemory, "syscall tracepoint", kExecMemoryPrograms,
     "32-bit system calls, shmat, stacks that a program file asks to be executable, and "
     "personality(READ_IMPLIES_EXEC) are not seen. mprotect of a file's mapping is reported too."},
}};

}  // namespace

std::span<const HookInfo> hooks() { return kHooks; }
std::span<const EventBackend> event_backends() { return kBackends; }

}  // namespace cicd
