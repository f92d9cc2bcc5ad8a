// SPDX-License-Identifier: Apache-2.0
// The second half of the catalogue: which programs serve an event type, and what they cannot see.
#include <array>

#include "kernel/hook_catalogue.h"

namespace cicd {

namespace {

constexpr BackendKind kSyscallKind = BackendKind::kSyscall;
constexpr BackendKind kTrampolineKind = BackendKind::kTrampoline;

constexpr std::string_view kExecPrograms[] = {"process_exec", "process_fork"};
constexpr std::string_view kExitPrograms[] = {"process_exit", "process_fork"};
constexpr std::string_view kConnectPrograms[] = {"connect4", "connect6", "sendmsg4", "sendmsg6"};
constexpr std::string_view kDnsPrograms[] = {"packet_sent", "packet_received"};
constexpr std::string_view kHttpPrograms[] = {"packet_sent"};
constexpr std::string_view kOpenPrograms[] = {"open_returned"};
constexpr std::string_view kPtracePrograms[] = {"ptrace_returned"};
constexpr std::string_view kOpenFunctions[] = {"file_opened", "open_failed", "handle_opened"};
constexpr std::string_view kMemoryPrograms[] = {"memory_returned"};
constexpr std::string_view kSignalPrograms[] = {"signal_generated", "kill_returned"};
constexpr std::string_view kExecMemoryPrograms[] = {"mprotect_returned", "mmap_returned"};
constexpr std::string_view kPrivilegePrograms[] = {"privilege_exec", "privilege_returned",
                                                   "privilege_call"};
constexpr std::string_view kNamespacePrograms[] = {"namespace_fork", "unshare_returned",
                                                   "setns_returned", "clone_returned"};
constexpr std::string_view kModulePrograms[] = {"module_loaded", "module_refused"};
constexpr std::string_view kBpfPrograms[] = {"bpf_returned"};
constexpr std::string_view kSocketPrograms[] = {"socket_returned"};
constexpr std::string_view kSocketFunctions[] = {"socket_created"};
constexpr std::string_view kIoUringPrograms[] = {"io_uring_request", "io_uring_entry"};
constexpr std::string_view kEscapePrograms[] = {"cgroup_attached", "cgroup_made", "process_fork"};

constexpr std::string_view kChangePrograms[] = {"file_changed"};
// All or none: the one program of the system calls would tell some of them twice.
constexpr std::string_view kChangeFunctions[] = {
    "unlinked",     "folder_removed", "moved",      "linked",     "symlinked",    "path_truncated",
    "unlink_asked", "rmdir_asked",    "move_asked", "link_asked", "symlink_asked"};
constexpr std::string_view kExecMemoryFunctions[] = {"memory_mapped", "memory_protected"};
constexpr std::string_view kPrivilegeFunctions[] = {"privilege_exec", "credentials_committed"};
constexpr std::string_view kNamespaceFunctions[] = {"namespace_fork", "namespace_unshared",
                                                    "namespace_entered", "namespace_entered32",
                                                    "clone_failed"};
constexpr std::string_view kPtraceFunctions[] = {"ptrace_done", "ptrace_done32", "getfd_done",
                                                 "getfd_done32"};
constexpr std::string_view kMemoryFunctions[] = {"memory_read_done", "memory_read_done32",
                                                 "memory_written_done", "memory_written_done32"};
constexpr std::string_view kSignalFunctions[] = {"signal_generated", "signal_refused"};
constexpr std::string_view kModuleFunctions[] = {"module_loaded", "module_done", "module_done32",
                                                 "module_file_done", "module_file_done32"};
constexpr std::string_view kBpfFunctions[] = {"bpf_done", "bpf_done32"};
constexpr std::string_view kMountFunctions[] = {
    "mount_done",         "mount_done32",        "umount_done",     "umount_done32",
    "pivot_root_done",    "pivot_root_done32",   "move_mount_done", "move_mount_done32",
    "mount_setattr_done", "mount_setattr_done32"};
constexpr std::string_view kUnixFunctions[] = {"stream_connect", "dgram_connect", "dgram_sendmsg"};
constexpr std::string_view kLibraryPrograms[] = {"library_mapped"};
constexpr std::string_view kLibraryFunctions[] = {"library_in_memory"};
constexpr std::string_view kMountPrograms[] = {"mount_changed"};
constexpr std::string_view kUnixHookPrograms[] = {"unix_connect", "unix_sendmsg"};
constexpr std::string_view kUnixCallPrograms[] = {"unix_called"};

constexpr std::string_view kChangeLimits =
    "32-bit system calls are not seen, nor io_uring (each is an io_uring_op). Paths are joined "
    "from what the caller gave: a second thread that changes the text during the call can show "
    "another "
    "name, and names by way of `..` are wrong when the call moved the working directory itself.";
constexpr std::string_view kChangeFunctionLimits =
    "An io_uring of before Linux 5.12 can leave them to a worker, which is not seen.";
constexpr std::string_view kChangeStrictLimits =
    "io_uring is not seen (each is an io_uring_op). Paths are joined from what the caller gave: a "
    "second thread that changes the text during the call can show another name, and names by way "
    "of `..` are wrong when the call moved the working directory itself.";
constexpr EventBackend change_returned(EventType type) {
  return {type,          "syscall tracepoint", kChangePrograms,
          kChangeLimits, kChangeStrictLimits,  nullptr,
          nullptr,       kSyscallKind};
}
constexpr EventBackend kRemoveReturned = change_returned(EventType::kFileRemove);
constexpr EventBackend kMoveReturned = change_returned(EventType::kFileMove);
constexpr EventBackend kLinkReturned = change_returned(EventType::kFileLink);
constexpr EventBackend change_at_functions(EventType type, const EventBackend* fallback) {
  return {type, "trampoline", kChangeFunctions, kChangeFunctionLimits,
          "",   fallback,     nullptr,          kTrampolineKind};
}
constexpr std::string_view kMountLimits =
    "32-bit system calls are not seen, nor `fsconfig` on a file system that is mounted already. A "
    "mount made with the new API is seen when `move_mount` puts it in its place; where it was "
    "copied from is then told as a path in its own file system.";
constexpr EventBackend returned(EventType type, std::string_view backend,
                                std::span<const std::string_view> programs, std::string_view limits,
                                std::string_view strict_limits = {}) {
  return {type, backend, programs, limits, strict_limits, nullptr, nullptr, kSyscallKind};
}
constexpr EventBackend kOpenReturned = {
    EventType::kFileOpen,
    "syscall tracepoint",
    kOpenPrograms,
    "Opens by 32-bit system calls and by io_uring are not seen, nor those of the kernel itself "
    "(the program of an exec is a process_exec).",
    "Opens by io_uring are not seen (each is an io_uring_op), nor those of the kernel itself (the "
    "program of an exec is a process_exec).",
    nullptr,
    nullptr,
    kSyscallKind};
constexpr std::string_view kOpenFunctionLimits =
    "Opens by the kernel itself are not seen (the program of an exec is a process_exec), nor those "
    "that an io_uring of before Linux 5.12 leaves to a worker.";
constexpr EventBackend kUnixCalled = {
    EventType::kUnixSocketConnect,
    "syscall tracepoint",
    kUnixCallPrograms,
    "32-bit system calls and io_uring are not seen. A second thread that changes the address "
    "during the call can show another one.",
    "",
    nullptr,
    nullptr,
    kSyscallKind};

constexpr EventBackend kUnixAtFunctions = {
    EventType::kUnixSocketConnect,
    "trampoline",
    kUnixFunctions,
    "An io_uring of before Linux 5.12 can leave them to a worker, which is not seen.",
    "",
    &kUnixCalled,
    nullptr,
    kTrampolineKind};
constexpr EventBackend kMountReturned =
    returned(EventType::kMount, "syscall tracepoint", kMountPrograms, kMountLimits);
constexpr std::string_view kMountFunctionLimits =
    "`fsconfig` on a file system that is mounted already is not seen. A mount made with the new "
    "API "
    "is seen when `move_mount` puts it in its place; where it was copied from is then told as a "
    "path in its own file system. Names are those the caller gave.";
constexpr EventBackend kPtraceReturned = returned(
    EventType::kPtrace, "syscall tracepoint", kPtracePrograms,
    "32-bit system calls are not seen. Of requests only those that take control of a process or "
    "read or change its memory and registers are reported, each once for a program and target.");
constexpr std::string_view kPtraceFunctionLimits =
    "Of requests only those that take control of a process or read or change its memory and "
    "registers are reported, each once for a program and target.";
constexpr EventBackend kMemoryReturned = {
    EventType::kMemoryRead,
    "syscall tracepoint",
    kMemoryPrograms,
    "32-bit system calls and opens by io_uring are not seen; an open in /proc that was refused is "
    "a file_open with its error only. Each is reported once for a program, target and method.",
    "32-bit process_vm_readv and process_vm_writev and opens by io_uring are not seen; an open in "
    "/proc that was refused is a file_open with its error only. Each is reported once for a "
    "program, target and method.",
    nullptr,
    nullptr,
    kSyscallKind,
    EventType::kFileOpen};
constexpr std::string_view kMemoryFunctionLimits =
    "An open in /proc that was refused is a file_open with its error only. Each is reported once "
    "for a program, target and method.";
constexpr EventBackend kModuleReturned = {
    EventType::kModuleLoad,
    "tp_btf",
    kModulePrograms,
    "Modules that the kernel loads by itself for a process are not seen (the kernel starts their "
    "loader outside of the job), nor 32-bit attempts that failed.",
    "",
    nullptr,
    "/proc/modules",
    kSyscallKind};
constexpr std::string_view kModuleFunctionLimits =
    "Modules that the kernel loads by itself for a process are not seen (the kernel starts their "
    "loader outside of the job).";
constexpr EventBackend kBpfReturned = returned(
    EventType::kBpfUse, "syscall tracepoint", kBpfPrograms,
    "Each is reported once for a program, command, type and error. 32-bit calls are not seen.");
constexpr std::string_view kBpfFunctionLimits =
    "Each is reported once for a program, command, type and error.";
constexpr EventBackend kSocketReturned = returned(
    EventType::kSocketCreate, "syscall tracepoint", kSocketPrograms,
    "Each is reported once for a program, kind and error. 32-bit calls are not seen, nor io_uring "
    "before Linux 6.0 (each is an io_uring_op); after it when it is submitted, whether or not it "
    "succeeds.");
constexpr std::string_view kSocketFunctionLimits =
    "Each is reported once for a program, kind and error.";
constexpr EventBackend kSignalReturned = returned(
    EventType::kSignal, "tp_btf", kSignalPrograms,
    "Each is reported once for a program, target and signal. Refused signals to a process group "
    "or to all processes, or by a 32-bit system call, are not seen.");
constexpr std::string_view kSignalFunctionLimits =
    "Each is reported once for a program, target and signal. Refused signals to a process group "
    "or to all processes are not seen.";
constexpr EventBackend kPrivilegeReturned = returned(
    EventType::kPrivilegeChange, "syscall tracepoint", kPrivilegePrograms,
    "32-bit system calls other than exec are not seen, nor securebits and ambient capabilities "
    "(prctl). Capabilities in a user namespace of a process's own are not told.");
constexpr std::string_view kPrivilegeFunctionLimits =
    "Securebits and ambient capabilities (prctl) are not seen. Capabilities in a user namespace of "
    "a process's own are not told.";
constexpr EventBackend kNamespaceReturned =
    returned(EventType::kNamespaceChange, "syscall tracepoint", kNamespacePrograms,
             "32-bit unshare and setns are not seen, nor 32-bit clones that failed.");
constexpr EventBackend kExecMemoryReturned = returned(
    EventType::kExecMemory, "syscall tracepoint", kExecMemoryPrograms,
    "32-bit system calls, shmat, stacks that a program file asks to be executable, and "
    "personality(READ_IMPLIES_EXEC) are not seen. mprotect of a file's mapping is reported too.");
constexpr std::string_view kExecMemoryFunctionLimits =
    "shmat, stacks that a program file asks to be executable, and personality(READ_IMPLIES_EXEC) "
    "are not seen. mprotect of a file's mapping is reported too.";
constexpr EventBackend kLibraryMapped = {EventType::kMonitoringGap,
                                         "syscall tracepoint",
                                         kLibraryPrograms,
                                         "",
                                         "",
                                         nullptr,
                                         nullptr,
                                         kSyscallKind};
constexpr EventBackend kHelpers[] = {{EventType::kMonitoringGap, "trampoline", kLibraryFunctions,
                                      "", "", &kLibraryMapped, nullptr, kTrampolineKind}};

constexpr std::string_view kEgressPrograms[] = {"connect4", "connect6",    "sendmsg4",
                                                "sendmsg6", "packet_sent", "socket_made"};

constexpr std::array<EventBackend, kEventTypeCount> kBackends = {{
    {EventType::kProcessExec, "tp_btf", kExecPrograms, ""},
    {EventType::kProcessExit, "tp_btf", kExitPrograms, ""},
    {EventType::kNetworkConnect, "cgroup", kConnectPrograms,
     "Raw and packet sockets are not seen, and no data on sockets that came connected from "
     "outside the job."},
    {EventType::kFileOpen, "trampoline", kOpenFunctions, kOpenFunctionLimits, "", &kOpenReturned,
     nullptr, kTrampolineKind},
    {EventType::kCgroupEscape, "tp_btf", kEscapePrograms, ""},
    {EventType::kMonitoringGap, "sensor", {}, ""},
    {EventType::kUnixSocketConnect, "cgroup", kUnixHookPrograms, "", "", &kUnixAtFunctions},
    change_at_functions(EventType::kFileRemove, &kRemoveReturned),
    change_at_functions(EventType::kFileMove, &kMoveReturned),
    change_at_functions(EventType::kFileLink, &kLinkReturned),
    {EventType::kMount, "trampoline", kMountFunctions, kMountFunctionLimits, "", &kMountReturned,
     nullptr, kTrampolineKind},
    {EventType::kDomain, "cgroup", kDnsPrograms,
     "Only DNS over UDP and TCP to port 53: neither over TLS or HTTPS nor to other ports, and not "
     "from packet sockets."},
    {EventType::kHttpRequest, "cgroup", kHttpPrograms,
     "HTTP/1.x in the clear whose first segment begins with the request; TLS only with "
     "--tls-capture (OpenSSL and GnuTLS as shared libraries); HTTP/2 and HTTP/3 are not looked "
     "into."},
    {EventType::kPtrace, "trampoline", kPtraceFunctions, kPtraceFunctionLimits, "",
     &kPtraceReturned, nullptr, kTrampolineKind},
    {EventType::kMemoryRead, "trampoline", kMemoryFunctions, kMemoryFunctionLimits, "",
     &kMemoryReturned, nullptr, kTrampolineKind, EventType::kFileOpen},
    {EventType::kPrivilegeChange, "trampoline", kPrivilegeFunctions, kPrivilegeFunctionLimits, "",
     &kPrivilegeReturned, nullptr, kTrampolineKind},
    {EventType::kNamespaceChange, "trampoline", kNamespaceFunctions, "", "", &kNamespaceReturned,
     nullptr, kTrampolineKind},
    {EventType::kModuleLoad, "trampoline", kModuleFunctions, kModuleFunctionLimits, "",
     &kModuleReturned, "/proc/modules", kTrampolineKind},
    {EventType::kBpfUse, "trampoline", kBpfFunctions, kBpfFunctionLimits, "", &kBpfReturned,
     nullptr, kTrampolineKind},
    {EventType::kIoUringOp, "tp_btf", kIoUringPrograms,
     "Seen when it is submitted, whether or not it succeeds; sends once for each file. Before "
     "Linux 6.0 without path and address."},
    {EventType::kSignal, "trampoline", kSignalFunctions, kSignalFunctionLimits, "",
     &kSignalReturned, nullptr, kTrampolineKind},
    {EventType::kExecMemory, "trampoline", kExecMemoryFunctions, kExecMemoryFunctionLimits, "",
     &kExecMemoryReturned, nullptr, kTrampolineKind},
    {EventType::kEgressViolation, "cgroup", kEgressPrograms,
     "Not on packet sockets, AF_XDP, AF_VSOCK and tun, which no cgroup sees, and not on a "
     "connection that was made outside the job and passed in."},
    {EventType::kSocketCreate, "trampoline", kSocketFunctions, kSocketFunctionLimits, "",
     &kSocketReturned, nullptr, kTrampolineKind},
}};

}  // namespace

std::span<const EventBackend> event_backends() { return kBackends; }
std::span<const EventBackend> helper_backends() { return kHelpers; }

}  // namespace cicd
