// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_catalogue.h"

#include <linux/bpf.h>

namespace cicd {

namespace {

using enum AttachKind;

// arm64 has neither open nor creat; what a kernel does not have is left out when attaching.
constexpr std::string_view kOpenCalls[] = {"sys_exit_openat", "sys_exit_openat2", "sys_exit_open",
                                           "sys_exit_creat", "sys_exit_open_by_handle_at"};
constexpr std::string_view kPtraceCalls[] = {"sys_exit_ptrace", "sys_exit_pidfd_getfd"};
constexpr std::string_view kMemoryCalls[] = {"sys_exit_process_vm_readv",
                                             "sys_exit_process_vm_writev"};
constexpr std::string_view kKillCalls[] = {"sys_exit_kill",
                                           "sys_exit_tkill",
                                           "sys_exit_tgkill",
                                           "sys_exit_rt_sigqueueinfo",
                                           "sys_exit_rt_tgsigqueueinfo",
                                           "sys_exit_pidfd_send_signal"};
constexpr std::string_view kMprotectCalls[] = {"sys_exit_mprotect", "sys_exit_pkey_mprotect"};
constexpr std::string_view kMmapCalls[] = {"sys_exit_mmap"};
// Entry (what a thread had before) and exit; exec is over at sched_process_exec.
constexpr std::string_view kPrivilegeEntries[] = {
    "sys_enter_setuid",    "sys_enter_setreuid", "sys_enter_setresuid", "sys_enter_setfsuid",
    "sys_enter_setgid",    "sys_enter_setregid", "sys_enter_setresgid", "sys_enter_setfsgid",
    "sys_enter_setgroups", "sys_enter_capset",   "sys_enter_execve",    "sys_enter_execveat"};
constexpr std::string_view kPrivilegeExits[] = {
    "sys_exit_setuid",    "sys_exit_setreuid", "sys_exit_setresuid", "sys_exit_setfsuid",
    "sys_exit_setgid",    "sys_exit_setregid", "sys_exit_setresgid", "sys_exit_setfsgid",
    "sys_exit_setgroups", "sys_exit_capset"};
constexpr std::string_view kUnshareCalls[] = {"sys_exit_unshare"};
constexpr std::string_view kSetnsCalls[] = {"sys_exit_setns"};
constexpr std::string_view kCloneCalls[] = {"sys_exit_clone", "sys_exit_clone3"};
constexpr std::string_view kModuleCalls[] = {"sys_exit_init_module", "sys_exit_finit_module"};
constexpr std::string_view kBpfCalls[] = {"sys_exit_bpf"};
constexpr std::string_view kSocketCalls[] = {"sys_exit_socket"};

constexpr std::string_view kChangeCalls[] = {
    "sys_exit_unlinkat",  "sys_exit_unlink",  "sys_exit_rmdir",   "sys_exit_renameat2",
    "sys_exit_renameat",  "sys_exit_rename",  "sys_exit_linkat",  "sys_exit_link",
    "sys_exit_symlinkat", "sys_exit_symlink", "sys_exit_truncate"};
constexpr std::string_view kMountCalls[] = {"sys_exit_mount", "sys_exit_umount",
                                            "sys_exit_pivot_root", "sys_exit_move_mount",
                                            "sys_exit_mount_setattr"};
constexpr std::string_view kUnixCalls[] = {"sys_exit_connect", "sys_exit_sendto",
                                           "sys_exit_sendmsg", "sys_exit_sendmmsg"};
// enum bpf_attach_type of kernels since 6.7, by number: our headers may be older.
constexpr int kCgroupUnixConnect = 49;
constexpr int kCgroupUnixSendmsg = 50;
constexpr std::string_view kMapCalls[] = {"sys_exit_mmap"};

// Functions of the kernel, by their names in the kernels we know.
constexpr std::string_view kFilpOpen[] = {"do_filp_open", "do_file_open"};  // since 7.0
constexpr std::string_view kSysOpenat2[] = {"do_sys_openat2"};
constexpr std::string_view kHandleOpen[] = {"do_handle_open"};
constexpr std::string_view kPathUnlink[] = {"security_path_unlink"};
constexpr std::string_view kPathRmdir[] = {"security_path_rmdir"};
constexpr std::string_view kPathRename[] = {"security_path_rename"};
constexpr std::string_view kPathLink[] = {"security_path_link"};
constexpr std::string_view kPathSymlink[] = {"security_path_symlink"};
constexpr std::string_view kVfsUnlink[] = {"vfs_unlink"};
constexpr std::string_view kDelete[] = {"d_delete"};
constexpr std::string_view kVfsRename[] = {"vfs_rename"};
constexpr std::string_view kVfsLink[] = {"vfs_link"};
constexpr std::string_view kVfsSymlink[] = {"vfs_symlink"};
constexpr std::string_view kVfsTruncate[] = {"vfs_truncate"};
constexpr std::string_view kMmapPgoff[] = {"vm_mmap_pgoff"};
constexpr std::string_view kMprotectPkey[] = {"do_mprotect_pkey"};
constexpr std::string_view kUnshare[] = {"ksys_unshare"};
constexpr std::string_view kClone[] = {"kernel_clone"};
constexpr std::string_view kSetns[] = {"__x64_sys_setns", "__arm64_sys_setns"};
constexpr std::string_view kSetns32[] = {"__ia32_sys_setns"};
constexpr std::string_view kCommitCreds[] = {"commit_creds"};
constexpr std::string_view kPtrace[] = {"__x64_sys_ptrace", "__arm64_sys_ptrace"};
constexpr std::string_view kPtrace32[] = {"__ia32_compat_sys_ptrace", "__arm64_compat_sys_ptrace"};
constexpr std::string_view kPidfdGetfd[] = {"__x64_sys_pidfd_getfd", "__arm64_sys_pidfd_getfd"};
constexpr std::string_view kPidfdGetfd32[] = {"__ia32_sys_pidfd_getfd"};
constexpr std::string_view kReadv[] = {"__x64_sys_process_vm_readv",
                                       "__arm64_sys_process_vm_readv"};
constexpr std::string_view kReadv32[] = {"__ia32_compat_sys_process_vm_readv",
                                         "__ia32_sys_process_vm_readv"};
constexpr std::string_view kWritev[] = {"__x64_sys_process_vm_writev",
                                        "__arm64_sys_process_vm_writev"};
constexpr std::string_view kWritev32[] = {"__ia32_compat_sys_process_vm_writev",
                                          "__ia32_sys_process_vm_writev"};
constexpr std::string_view kKillPermission[] = {"check_kill_permission"};
constexpr std::string_view kSockCreate[] = {"__sock_create"};
constexpr std::string_view kBpf[] = {"__x64_sys_bpf", "__arm64_sys_bpf"};
constexpr std::string_view kBpf32[] = {"__ia32_sys_bpf"};
constexpr std::string_view kInitModule[] = {"__x64_sys_init_module", "__arm64_sys_init_module"};
constexpr std::string_view kInitModule32[] = {"__ia32_sys_init_module"};
constexpr std::string_view kFinitModule[] = {"__x64_sys_finit_module", "__arm64_sys_finit_module"};
constexpr std::string_view kFinitModule32[] = {"__ia32_sys_finit_module"};
constexpr std::string_view kMount[] = {"__x64_sys_mount", "__arm64_sys_mount"};
constexpr std::string_view kMount32[] = {"__ia32_compat_sys_mount", "__ia32_sys_mount"};
constexpr std::string_view kUmount[] = {"__x64_sys_umount", "__arm64_sys_umount"};
constexpr std::string_view kUmount32[] = {"__ia32_sys_umount"};
constexpr std::string_view kPivotRoot[] = {"__x64_sys_pivot_root", "__arm64_sys_pivot_root"};
constexpr std::string_view kPivotRoot32[] = {"__ia32_sys_pivot_root"};
constexpr std::string_view kMoveMount[] = {"__x64_sys_move_mount", "__arm64_sys_move_mount"};
constexpr std::string_view kMoveMount32[] = {"__ia32_sys_move_mount"};
constexpr std::string_view kMountSetattr[] = {"__x64_sys_mount_setattr",
                                              "__arm64_sys_mount_setattr"};
constexpr std::string_view kMountSetattr32[] = {"__ia32_sys_mount_setattr"};
constexpr std::string_view kStreamConnect[] = {"unix_stream_connect"};
constexpr std::string_view kDgramConnect[] = {"unix_dgram_connect"};
constexpr std::string_view kDgramSendmsg[] = {"unix_dgram_sendmsg"};

// Came with the hooks for Unix sockets.
constexpr std::string_view kUnixKfunc[] = {"bpf_sock_addr_set_sun_path"};

constexpr HookInfo at_function(std::string_view program, HookFamily family, std::string_view loss,
                               std::span<const std::string_view> functions) {
  return {program, family, kTrampoline, loss, {}, 0, {}, functions};
}
// The function of a call that not every kernel has: a 32-bit one, or one younger than the floor.
constexpr HookInfo at_optional(std::string_view program, HookFamily family, std::string_view loss,
                               std::span<const std::string_view> functions) {
  return {program, family, kTrampoline, loss, {}, 0, {}, functions, true};
}

constexpr HookInfo second_of(std::string_view first, std::string_view program) {
  return {program, HookFamily::kProcess, kTracing, first, {}, 0, {}, {}, false, first};
}

// Not on kernels without modules.
constexpr HookInfo at_module(std::string_view program, std::span<const std::string_view> functions,
                             bool is_optional) {
  return {program, HookFamily::kKernelUse,  kTrampoline, "module_load", {},
          0,       "btf_trace_module_load", functions,   is_optional};
}

constexpr HookInfo kHooks[] = {
    {"process_fork", HookFamily::kProcess, kTracing, "process_fork"},
    {"process_exec", HookFamily::kProcess, kTracing, "process_exec"},
    {"process_exit", HookFamily::kProcess, kTracing, "process_exit"},
    second_of("process_fork", "process_fork_again"),
    second_of("process_exec", "process_exec_again"),
    second_of("process_exit", "process_exit_again"),
    {"cgroup_made", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_removed", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_attached", HookFamily::kCgroup, kTracing, "cgroup"},
    {"connect4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET4_CONNECT},
    {"connect6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET6_CONNECT},
    {"sendmsg4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP4_SENDMSG},
    {"sendmsg6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP6_SENDMSG},
    {"recvmsg4", HookFamily::kNetwork, kCgroup, "egress", {}, BPF_CGROUP_UDP4_RECVMSG},
    {"recvmsg6", HookFamily::kNetwork, kCgroup, "egress", {}, BPF_CGROUP_UDP6_RECVMSG},
    {"getpeername4", HookFamily::kNetwork, kCgroup, "egress", {}, BPF_CGROUP_INET4_GETPEERNAME},
    {"getpeername6", HookFamily::kNetwork, kCgroup, "egress", {}, BPF_CGROUP_INET6_GETPEERNAME},
    {"packet_sent", HookFamily::kPacket, kCgroup, "packet", {}, BPF_CGROUP_INET_EGRESS},
    {"packet_received", HookFamily::kPacket, kCgroup, "packet", {}, BPF_CGROUP_INET_INGRESS},
    {"socket_made", HookFamily::kEgress, kCgroup, "egress", {}, BPF_CGROUP_INET_SOCK_CREATE},
    {"socket_closed", HookFamily::kEgress, kCgroup, "egress", {}, BPF_CGROUP_INET_SOCK_RELEASE},
    {"open_returned", HookFamily::kFileOpen, kSyscall, "file_open", kOpenCalls},
    at_function("open_failed", HookFamily::kFileOpen, "file_open", kSysOpenat2),
    at_function("file_opened", HookFamily::kFileOpen, "file_open", kFilpOpen),
    at_function("handle_opened", HookFamily::kFileOpen, "file_open", kHandleOpen),
    {"ptrace_returned", HookFamily::kTarget, kSyscall, "ptrace", kPtraceCalls},
    {"memory_returned", HookFamily::kTarget, kSyscall, "memory_read", kMemoryCalls},
    {"kill_returned", HookFamily::kTarget, kSyscall, "signal", kKillCalls},
    at_function("ptrace_done", HookFamily::kTarget, "ptrace", kPtrace),
    at_optional("ptrace_done32", HookFamily::kTarget, "ptrace", kPtrace32),
    at_function("getfd_done", HookFamily::kTarget, "ptrace", kPidfdGetfd),
    at_optional("getfd_done32", HookFamily::kTarget, "ptrace", kPidfdGetfd32),
    at_function("memory_read_done", HookFamily::kTarget, "memory_read", kReadv),
    at_optional("memory_read_done32", HookFamily::kTarget, "memory_read", kReadv32),
    at_function("memory_written_done", HookFamily::kTarget, "memory_read", kWritev),
    at_optional("memory_written_done32", HookFamily::kTarget, "memory_read", kWritev32),
    at_function("signal_refused", HookFamily::kTarget, "signal", kKillPermission),
    {"signal_generated", HookFamily::kSignal, kTracing, "signal"},
    {"mprotect_returned", HookFamily::kExecMemory, kSyscall, "exec_memory", kMprotectCalls},
    {"mmap_returned", HookFamily::kExecMemory, kSyscall, "exec_memory", kMmapCalls},
    at_function("memory_mapped", HookFamily::kExecMemory, "exec_memory", kMmapPgoff),
    at_function("memory_protected", HookFamily::kExecMemory, "exec_memory", kMprotectPkey),
    // The exit first: whoever is in a call when the hooks come is not compared with nothing.
    {"privilege_exec", HookFamily::kPrivilege, kTracing, "privilege_change"},
    {"privilege_returned", HookFamily::kPrivilege, kSyscall, "privilege_change", kPrivilegeExits},
    {"privilege_call", HookFamily::kPrivilege, kSyscall, "privilege_change", kPrivilegeEntries},
    {"namespace_fork", HookFamily::kNamespace, kTracing, "namespace_change"},
    at_function("credentials_committed", HookFamily::kPrivilege, "privilege_change", kCommitCreds),
    at_function("namespace_unshared", HookFamily::kNamespace, "namespace_change", kUnshare),
    at_function("namespace_entered", HookFamily::kNamespace, "namespace_change", kSetns),
    at_optional("namespace_entered32", HookFamily::kNamespace, "namespace_change", kSetns32),
    at_function("clone_failed", HookFamily::kNamespace, "namespace_change", kClone),
    {"unshare_returned", HookFamily::kNamespace, kSyscall, "namespace_change", kUnshareCalls},
    {"setns_returned", HookFamily::kNamespace, kSyscall, "namespace_change", kSetnsCalls},
    {"clone_returned", HookFamily::kNamespace, kSyscall, "namespace_change", kCloneCalls},
    {"module_loaded",
     HookFamily::kKernelUse,
     kTracing,
     "module_load",
     {},
     0,
     "btf_trace_module_load"},
    {"module_refused", HookFamily::kKernelUse, kSyscall, "module_load", kModuleCalls, 0,
     "btf_trace_module_load"},
    at_module("module_done", kInitModule, false),
    at_module("module_done32", kInitModule32, true),
    at_module("module_file_done", kFinitModule, false),
    at_module("module_file_done32", kFinitModule32, true),
    {"bpf_returned", HookFamily::kKernelUse, kSyscall, "bpf_use", kBpfCalls},
    at_function("bpf_done", HookFamily::kKernelUse, "bpf_use", kBpf),
    at_optional("bpf_done32", HookFamily::kKernelUse, "bpf_use", kBpf32),
    {"socket_returned", HookFamily::kSocket, kSyscall, "socket_create", kSocketCalls},
    at_function("socket_created", HookFamily::kSocket, "socket_create", kSockCreate),
    {"io_uring_request",
     HookFamily::kIoUring,
     kTracing,
     "io_uring_op",
     {},
     0,
     "btf_trace_io_uring_submit_req"},
    {"io_uring_entry",
     HookFamily::kIoUring,
     kTracing,
     "io_uring_op",
     {},
     0,
     "btf_trace_io_uring_submit_sqe"},
    {kStrictProgram, HookFamily::kStrict, kStrict, "file_open"},
    {"file_changed", HookFamily::kFileChange, kSyscall, "file_change", kChangeCalls},
    // The ends first: whoever is at it when the hooks come is seen by neither.
    at_function("unlinked", HookFamily::kFileChange, "file_change", kVfsUnlink),
    at_function("folder_removed", HookFamily::kFileChange, "file_change", kDelete),
    at_function("moved", HookFamily::kFileChange, "file_change", kVfsRename),
    at_function("linked", HookFamily::kFileChange, "file_change", kVfsLink),
    at_function("symlinked", HookFamily::kFileChange, "file_change", kVfsSymlink),
    at_function("path_truncated", HookFamily::kFileChange, "file_change", kVfsTruncate),
    at_function("unlink_asked", HookFamily::kFileChange, "file_change", kPathUnlink),
    at_function("rmdir_asked", HookFamily::kFileChange, "file_change", kPathRmdir),
    at_function("move_asked", HookFamily::kFileChange, "file_change", kPathRename),
    at_function("link_asked", HookFamily::kFileChange, "file_change", kPathLink),
    at_function("symlink_asked", HookFamily::kFileChange, "file_change", kPathSymlink),
    {"mount_changed", HookFamily::kMount, kSyscall, "mount", kMountCalls},
    at_function("mount_done", HookFamily::kMount, "mount", kMount),
    at_optional("mount_done32", HookFamily::kMount, "mount", kMount32),
    at_function("umount_done", HookFamily::kMount, "mount", kUmount),
    at_optional("umount_done32", HookFamily::kMount, "mount", kUmount32),
    at_function("pivot_root_done", HookFamily::kMount, "mount", kPivotRoot),
    at_optional("pivot_root_done32", HookFamily::kMount, "mount", kPivotRoot32),
    at_function("move_mount_done", HookFamily::kMount, "mount", kMoveMount),
    at_optional("move_mount_done32", HookFamily::kMount, "mount", kMoveMount32),
    at_optional("mount_setattr_done", HookFamily::kMount, "mount", kMountSetattr),
    at_optional("mount_setattr_done32", HookFamily::kMount, "mount", kMountSetattr32),
    {"unix_connect",
     HookFamily::kUnixCgroup,
     kCgroup,
     "unix_socket_connect",
     {},
     kCgroupUnixConnect,
     {},
     kUnixKfunc},
    {"unix_sendmsg",
     HookFamily::kUnixCgroup,
     kCgroup,
     "unix_socket_connect",
     {},
     kCgroupUnixSendmsg,
     {},
     kUnixKfunc},
    {"unix_called", HookFamily::kUnixSyscall, kSyscall, "unix_socket_connect", kUnixCalls},
    at_function("stream_connect", HookFamily::kUnixSyscall, "unix_socket_connect", kStreamConnect),
    at_function("dgram_connect", HookFamily::kUnixSyscall, "unix_socket_connect", kDgramConnect),
    at_function("dgram_sendmsg", HookFamily::kUnixSyscall, "unix_socket_connect", kDgramSendmsg),
    {"library_mapped", HookFamily::kLibrary, kSyscall, "library", kMapCalls},
    at_function("library_in_memory", HookFamily::kLibrary, "library", kMmapPgoff),
    {"getaddrinfo_called", HookFamily::kResolver, kUprobe, "getaddrinfo"},
    {"getaddrinfo_returned", HookFamily::kResolver, kUprobe, "getaddrinfo"},
    {"gethostbyname_called", HookFamily::kResolver, kUprobe, "getaddrinfo"},
    {"gethostbyname_returned", HookFamily::kResolver, kUprobe, "getaddrinfo"},
    {"openssl_write_called", HookFamily::kTls, kUprobe, "http_request"},
    {"openssl_write_ex_called", HookFamily::kTls, kUprobe, "http_request"},
    {"openssl_write_returned", HookFamily::kTls, kUprobe, "http_request"},
    {"gnutls_send_called", HookFamily::kTls, kUprobe, "http_request"},
    {"gnutls_send_returned", HookFamily::kTls, kUprobe, "http_request"},
};

}  // namespace

std::span<const HookInfo> hooks() { return kHooks; }

}  // namespace cicd
