// SPDX-License-Identifier: Apache-2.0
#include "event/event_type.h"

#include <array>

namespace cicd {

namespace {

using enum FieldType;
using enum JsonForm;

constexpr FieldInfo kProcessExecFields[] = {
    {"is_memfd", "is_memfd", kBool, kPlain, "The program was run from memory (`memfd_create`)."},
    {"script_path", "script_path", kString, kPlain,
     "For a script: its path; `process.exec_path` is the interpreter.", false},
    {"filename", "filename", kString, kPlain,
     "The name given to `execve`, where it differs from `process.exec_path`.", false},
};
constexpr FieldInfo kProcessExitFields[] = {
    {"exit_code", "exit_code", kInt, kAlways, "Exit code, 0 to 255; 0 when a signal ended it."},
    {"signal", "signal", kInt, kPlain, "Signal that ended the process, or 0."},
    {"duration_ms", "duration_ms", kInt, kInt64String,
     "Milliseconds from the start of the process to its end."},
};
constexpr FieldInfo kNetworkConnectFields[] = {
    {"remote_ip", "remote_ip", kString, kPlain, "Address, IPv4 or IPv6 in its shortest form."},
    {"remote_port", "remote_port", kInt, kPlain, "Port, 0 to 65535."},
    {"protocol", "protocol", kString, kPlain, "`tcp`, `udp`, or the protocol's number."},
    {"family", "family", kString, kPlain, "`ipv4` or `ipv6`, as the socket was made."},
    {"domain", "domain", kString, kPlain, "Name the address was resolved from, where it is known.",
     false, true},
    {"domain_source", "domain_source", kString, kPlain,
     "Where `domain` comes from: `resolver`, `dns_answer`, `getaddrinfo` or `none`.", false},
    {"domain_candidates", "domain_candidates", kString, kPlain,
     "Further names that lead to the address, the latest first, when `domain` is ambiguous.",
     false},
};
constexpr FieldInfo kFileOpenFields[] = {
    {"path", "path", kString, kPlain, "Absolute path as the process sees it."},
    {"is_read", "is_read", kBool, kPlain, "Opened for reading."},
    {"is_write", "is_write", kBool, kPlain, "Opened for writing."},
    {"flags", "flags", kInt, kInt64String, "The `O_*` flags as the caller gave them."},
    {"error", "error", kString, kPlain,
     "Name of the error (`ENOENT`) when the open failed. Failed opens are not evaluated by rules.",
     false},
};
constexpr FieldInfo kCgroupEscapeFields[] = {
    {"from", "from", kString, kPlain, "Cgroup the task left, below the v2 root."},
    {"to", "to", kString, kPlain, "Cgroup it went to."},
};
constexpr FieldInfo kMonitoringGapFields[] = {
    {"reason", "reason", kString, kPlain, "Why events may be missing."},
    {"duration_ms", "duration_ms", kInt, kInt64String, "Milliseconds the gap lasted."},
};

constexpr FieldInfo kUnixSocketConnectFields[] = {
    {"path", "path", kString, kPlain,
     "Path of the socket, joined with the working directory when it is relative; an abstract name "
     "starts with `@`."},
    {"socket_type", "socket_type", kString, kPlain, "`stream`, `dgram` or `seqpacket`."},
    {"is_abstract", "is_abstract", kBool, kPlain, "It is an abstract name, no file."},
};
constexpr FieldInfo kFileRemoveFields[] = {
    {"path", "path", kString, kPlain, "What was removed."},
    {"is_folder", "is_folder", kBool, kPlain, "It was a directory."},
};
constexpr FieldInfo kFileMoveFields[] = {
    {"from_path", "from_path", kString, kPlain, "The old name."},
    {"to_path", "to_path", kString, kPlain, "The new name."},
};
constexpr FieldInfo kFileLinkFields[] = {
    {"created_path", "created_path", kString, kPlain, "The new name."},
    {"existing_path", "existing_path", kString, kPlain,
     "What it leads to; for a symbolic link the text of the link."},
    {"is_hardlink", "is_hardlink", kBool, kPlain, "A hard link."},
    {"is_symlink", "is_symlink", kBool, kPlain, "A symbolic link."},
};
constexpr FieldInfo kMountFields[] = {
    {"source_path", "source_path", kString, kPlain,
     "What was mounted or moved; of a new file system its source as given, or its type."},
    {"target_path", "target_path", kString, kPlain,
     "Where; for `pivot_root` where the old root went."},
    {"operation", "operation", kString, kPlain,
     "`new`, `bind`, `move`, `remount`, `propagation`, `umount` or `pivot_root`.", false},
};
constexpr FieldInfo kDomainFields[] = {
    {"domain", "name", kString, kPlain, "The name that was asked for, without the last dot."},
    {"source", "source", kString, kPlain, "`dns`."},
    {"query_type", "query_type", kString, kPlain, "`A`, `AAAA`, `HTTPS`, ... or `TYPE<n>`.", false},
    {"answers", "answers", kString, kPlain, "Addresses and names of the answer, if there was one.",
     false},
    {"result", "result", kString, kPlain, "`NOERROR`, `NXDOMAIN`, ... of the answer.", false},
};
constexpr FieldInfo kHttpRequestFields[] = {
    {"method", "method", kString, kPlain, "`GET`, `POST`, ..."},
    {"path", "path", kString, kPlain, "Path without its query."},
    {"host", "host", kString, kPlain, "The `Host` header."},
    {"source", "source", kString, kPlain, "`http`, or `openssl`, `gnutls` with `--tls-capture`."},
};
constexpr FieldInfo kPtraceFields[] = {
    {"request", "request", kString, kPlain,
     "`PTRACE_ATTACH`, `PTRACE_SEIZE`, ..., or `pidfd_getfd`, which needs the same right."},
    {"target_pid", "target_pid", kInt, kPlain, "Process it was done to; 0 when it was not found."},
    {"target_exec_path", "target_exec_path", kString, kPlain, "Its program."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kMemoryReadFields[] = {
    {"method", "method", kString, kPlain,
     "`proc_mem`, `process_vm_readv`, `process_vm_writev`, `proc_environ` or `proc_maps`."},
    {"target_pid", "target_pid", kInt, kPlain, "Process it was done to; 0 when it was not found."},
    {"target_exec_path", "target_exec_path", kString, kPlain, "Its program."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kPrivilegeChangeFields[] = {
    {"kind", "kind", kString, kPlain, "`setuid`, `setgid`, `capset` or `exec`."},
    {"uid_from", "uid_from", kInt, kAlways, "Effective user before."},
    {"uid_to", "uid_to", kInt, kAlways, "Effective user after."},
    {"capabilities", "capabilities", kString, kPlain,
     "Effective capabilities that were gained, by name, or `all`."},
    {"gid_from", "gid_from", kInt, kAlways, "Effective group before.", false},
    {"gid_to", "gid_to", kInt, kAlways, "Effective group after.", false},
};
constexpr FieldInfo kNamespaceChangeFields[] = {
    {"operation", "operation", kString, kPlain, "`unshare`, `setns` or `clone`."},
    {"flags", "flags", kString, kPlain,
     "Kinds of namespaces: `user,mnt,pid,net,uts,ipc,cgroup,time`."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kModuleLoadFields[] = {
    {"name", "name", kString, kPlain, "Name of the module, or its file when loading failed."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kBpfUseFields[] = {
    {"command", "command", kString, kPlain, "`BPF_PROG_LOAD`, `BPF_MAP_CREATE`, ..."},
    {"program_type", "program_type", kString, kPlain, "`kprobe`, `tracing`, ... of a program."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kSocketCreateFields[] = {
    {"family", "family", kString, kPlain, "`AF_PACKET`, `AF_VSOCK`, `AF_INET`, ..."},
    {"type", "type", kString, kPlain, "`SOCK_RAW`, `SOCK_DGRAM`, ..."},
    {"protocol", "protocol", kString, kPlain,
     "`icmp`, `icmpv6`, `sctp`, `raw` or the number; of packet sockets the EtherType (`0x0003`: "
     "all)."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kIoUringOpFields[] = {
    {"operation", "operation", kString, kPlain, "`openat`, `connect`, `sendmsg`, ..."},
    {"path", "path", kString, kPlain, "Path, where the operation has one."},
    {"remote_ip", "remote_ip", kString, kPlain, "Address, where the operation has one."},
    {"remote_port", "remote_port", kInt, kPlain, "Its port."},
};
constexpr FieldInfo kSignalFields[] = {
    {"signal", "signal", kInt, kPlain, "Number of the signal."},
    {"target_pid", "target_pid", kInt, kPlain, "Process it was sent to."},
    {"target_exec_path", "target_exec_path", kString, kPlain, "Its program."},
    {"error", "error", kString, kPlain, "Name of the error when it failed.", false},
};
constexpr FieldInfo kExecMemoryFields[] = {
    {"kind", "kind", kString, kPlain, "`mmap` or `mprotect`."},
    {"size_bytes", "size_bytes", kInt, kInt64String, "Bytes that became executable."},
    {"count", "count", kInt, kInt64String,
     "How often this program did it so far, this time included.", false},
};

constexpr FieldInfo kEgressViolationFields[] = {
    {"verdict", "verdict", kString, kPlain,
     "`block`: it was denied; `audit`: it would have been, the policy only audits."},
    {"reason", "reason", kString, kPlain,
     "`direct_ip`, `port_not_allowed`, `step_not_allowed`, `denied_by_rule`, `metadata`, `dot`, "
     "`doh_endpoint`, `raw_socket`, `rebinding`, `ipv6` or `default_deny`."},
    {"scope", "scope", kString, kPlain,
     "Whose policy it is against: `host`, `project`, or `host,project`."},
    {"remote_ip", "remote_ip", kString, kPlain, "Address, IPv4 or IPv6 in its shortest form."},
    {"remote_port", "remote_port", kInt, kPlain, "Port; 0 when the protocol has none."},
    {"protocol", "protocol", kString, kPlain,
     "`tcp`, `udp`, or the protocol's number; `dns` for an answer to a question."},
    {"domain", "domain", kString, kPlain, "Name the address was resolved from, where it is known.",
     false, true},
    {"domain_source", "domain_source", kString, kPlain,
     "Where `domain` comes from: `resolver`, `dns_answer`, `getaddrinfo` or `none`.", false},
    {"count", "count", kInt, kInt64String,
     "Attempts that this event stands for: repeats of a process on a destination are merged."},
    {"bytes", "bytes", kInt, kInt64String, "Of packets that were denied; 0 for connects.", false},
    {"packets", "packets", kInt, kInt64String, "Packets that were denied; 0 for connects.", false},
};
constexpr std::array<EventTypeInfo, kEventTypeCount> kEventTypes = {{
    {EventType::kProcessExec, "process_exec", kProcessExecFields,
     "A process ran a program (`execve`, `execveat`)."},
    {EventType::kProcessExit, "process_exit", kProcessExitFields,
     "The last thread of a process ended."},
    {EventType::kNetworkConnect, "network_connect", kNetworkConnectFields,
     "A `connect` on an IPv4 or IPv6 socket, or the first datagram of an unconnected socket to a "
     "destination. It is reported when it is tried, whether or not it succeeds."},
    {EventType::kFileOpen, "file_open", kFileOpenFields,
     "A file or directory was opened, or an open failed."},
    {EventType::kCgroupEscape, "cgroup_escape", kCgroupEscapeFields,
     "A process of the job left the job's cgroups. It stays under observation."},
    {EventType::kMonitoringGap, "monitoring_gap", kMonitoringGapFields,
     "The sensor was not watching, or not completely, for a while."},
    {EventType::kUnixSocketConnect, "unix_socket_connect", kUnixSocketConnectFields,
     "A `connect` on a Unix socket, or the first datagram to one. It is reported when it is "
     "tried."},
    {EventType::kFileRemove, "file_remove", kFileRemoveFields,
     "A file or directory was removed (`unlink`, `rmdir`)."},
    {EventType::kFileMove, "file_move", kFileMoveFields,
     "A file or directory was renamed; two that changed places make two."},
    {EventType::kFileLink, "file_link", kFileLinkFields, "A hard or symbolic link was made."},
    {EventType::kMount, "mount", kMountFields, "The tree of mounts was changed."},
    {EventType::kDomain, "domain", kDomainFields,
     "A name was asked for over DNS. The answer makes another event, the one with `result`, which "
     "rules do not see."},
    {EventType::kHttpRequest, "http_request", kHttpRequestFields,
     "The head of an HTTP/1.x request was sent."},
    {EventType::kPtrace, "ptrace", kPtraceFields,
     "A process took control of another one, read or changed its registers or memory (`ptrace`), "
     "or "
     "took an open file out of it (`pidfd_getfd`), or tried to. Once for each kind of request, "
     "program and target. The target of `PTRACE_TRACEME` is the parent, which gains control."},
    {EventType::kMemoryRead, "memory_read", kMemoryReadFields,
     "A process read or wrote the memory of another one, or tried to, or opened its memory, "
     "environment or memory map in `/proc`, by whatever path. Once for each method, program and "
     "target. Where `/proc` refuses, there is a `file_open` with its error instead."},
    {EventType::kPrivilegeChange, "privilege_change", kPrivilegeChangeFields,
     "A process changed its user, group or capabilities. Capabilities in a user namespace of its "
     "own "
     "do not count: making that namespace is a namespace_change."},
    {EventType::kNamespaceChange, "namespace_change", kNamespaceChangeFields,
     "A process made or entered namespaces, or tried to."},
    {EventType::kModuleLoad, "module_load", kModuleLoadFields,
     "A kernel module was loaded, or that was tried."},
    {EventType::kBpfUse, "bpf_use", kBpfUseFields, "The `bpf` system call was used."},
    {EventType::kIoUringOp, "io_uring_op", kIoUringOpFields,
     "A file was opened, renamed, linked or removed, or the network used through io_uring, past "
     "the "
     "system calls. Reported when it is submitted; a connect is a network_connect too."},
    {EventType::kSignal, "signal", kSignalFields,
     "A process of the job signalled a process outside of it, or tried to, by whatever means "
     "(`kill`, a descriptor with `F_SETOWN`, ...). Once for each signal, program and target."},
    {EventType::kExecMemory, "exec_memory", kExecMemoryFields,
     "Memory without a file was made executable: an anonymous mapping, a memfd, or an `mprotect`. "
     "The 1st, 2nd, 4th, 8th, ... time of a program."},
    {EventType::kEgressViolation, "egress_violation", kEgressViolationFields,
     "The kernel denied what the job's egress policy does not allow, or would have. Names that the "
     "policy does not allow are not asked for further and make no event of this type; an allowed "
     "one "
     "that leads to an address of the inside does (`rebinding`)."},
    {EventType::kSocketCreate, "socket_create", kSocketCreateFields,
     "A socket was made, or that was tried, that is neither Unix, netlink nor plain TCP or UDP. "
     "What packet sockets, AF_XDP and AF_VSOCK send passes no hook of a job's network: this is all "
     "there is of it. Once for each kind, program and error."},
}};

constexpr bool is_table_in_order() {
  for (std::size_t i = 0; i < kEventTypes.size(); ++i) {
    if (kEventTypes[i].type != static_cast<EventType>(i)) return false;
    if (kEventTypes[i].fields.size() > kMaxEventFields) return false;
  }
  return true;
}
static_assert(is_table_in_order());

}  // namespace

std::span<const EventTypeInfo> event_types() { return kEventTypes; }

const EventTypeInfo& info_of(EventType type) { return kEventTypes[static_cast<std::size_t>(type)]; }

std::optional<EventType> event_type_by_name(std::string_view name) {
  for (const EventTypeInfo& info : kEventTypes) {
    if (info.name == name) return info.type;
  }
  return std::nullopt;
}

}  // namespace cicd
