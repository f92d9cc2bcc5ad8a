// SPDX-License-Identifier: Apache-2.0
#include "track/kernel_names.h"

#include <arpa/inet.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdio>
#include <span>

#include "track/ip_text.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace cicd {

namespace {

// Each in the order of its numbers, as of Linux 6.18.
constexpr std::string_view kCapabilities[] = {
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
};
constexpr std::string_view kBpfCommands[] = {
    "BPF_MAP_CREATE",        "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_UPDATE_ELEM",   "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_GET_NEXT_KEY",  "BPF_PROG_LOAD",
    "BPF_OBJ_PIN",           "BPF_OBJ_GET",
    "BPF_PROG_ATTACH",       "BPF_PROG_DETACH",
    "BPF_PROG_TEST_RUN",     "BPF_PROG_GET_NEXT_ID",
    "BPF_MAP_GET_NEXT_ID",   "BPF_PROG_GET_FD_BY_ID",
    "BPF_MAP_GET_FD_BY_ID",  "BPF_OBJ_GET_INFO_BY_FD",
    "BPF_PROG_QUERY",        "BPF_RAW_TRACEPOINT_OPEN",
    "BPF_BTF_LOAD",          "BPF_BTF_GET_FD_BY_ID",
    "BPF_TASK_FD_QUERY",     "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
    "BPF_MAP_FREEZE",        "BPF_BTF_GET_NEXT_ID",
    "BPF_MAP_LOOKUP_BATCH",  "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
    "BPF_MAP_UPDATE_BATCH",  "BPF_MAP_DELETE_BATCH",
    "BPF_LINK_CREATE",       "BPF_LINK_UPDATE",
    "BPF_LINK_GET_FD_BY_ID", "BPF_LINK_GET_NEXT_ID",
    "BPF_ENABLE_STATS",      "BPF_ITER_CREATE",
    "BPF_LINK_DETACH",       "BPF_PROG_BIND_MAP",
    "BPF_TOKEN_CREATE",      "BPF_PROG_STREAM_READ_BY_FD",
};
constexpr std::string_view kBpfProgramTypes[] = {
    "unspec",
    "socket_filter",
    "kprobe",
    "sched_cls",
    "sched_act",
    "tracepoint",
    "xdp",
    "perf_event",
    "cgroup_skb",
    "cgroup_sock",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "sock_ops",
    "sk_skb",
    "cgroup_device",
    "sk_msg",
    "raw_tracepoint",
    "cgroup_sock_addr",
    "lwt_seg6local",
    "lirc_mode2",
    "sk_reuseport",
    "flow_dissector",
    "cgroup_sysctl",
    "raw_tracepoint_writable",
    "cgroup_sockopt",
    "tracing",
    "struct_ops",
    "ext",
    "lsm",
    "sk_lookup",
    "syscall",
    "netfilter",
};
constexpr std::string_view kIoUringOperations[] = {
    "nop",
    "readv",
    "writev",
    "fsync",
    "read_fixed",
    "write_fixed",
    "poll_add",
    "poll_remove",
    "sync_file_range",
    "sendmsg",
    "recvmsg",
    "timeout",
    "timeout_remove",
    "accept",
    "async_cancel",
    "link_timeout",
    "connect",
    "fallocate",
    "openat",
    "close",
    "files_update",
    "statx",
    "read",
    "write",
    "fadvise",
    "madvise",
    "send",
    "recv",
    "openat2",
    "epoll_ctl",
    "splice",
    "provide_buffers",
    "remove_buffers",
    "tee",
    "shutdown",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "linkat",
    "msg_ring",
    "fsetxattr",
    "setxattr",
    "fgetxattr",
    "getxattr",
    "socket",
    "uring_cmd",
    "send_zc",
    "sendmsg_zc",
    "read_multishot",
    "waitid",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "fixed_fd_install",
    "ftruncate",
    "bind",
    "listen",
    "recv_zc",
    "epoll_wait",
    "readv_fixed",
    "writev_fixed",
    "pipe",
};

constexpr std::string_view kSocketFamilies[] = {
    "AF_UNSPEC",     "AF_UNIX",      "AF_INET",     "AF_AX25",  "AF_IPX",     "AF_APPLETALK",
    "AF_NETROM",     "AF_BRIDGE",    "AF_ATMPVC",   "AF_X25",   "AF_INET6",   "AF_ROSE",
    "AF_DECnet",     "AF_NETBEUI",   "AF_SECURITY", "AF_KEY",   "AF_NETLINK", "AF_PACKET",
    "AF_ASH",        "AF_ECONET",    "AF_ATMSVC",   "AF_RDS",   "AF_SNA",     "AF_IRDA",
    "AF_PPPOX",      "AF_WANPIPE",   "AF_LLC",      "AF_IB",    "AF_MPLS",    "AF_CAN",
    "AF_TIPC",       "AF_BLUETOOTH", "AF_IUCV",     "AF_RXRPC", "AF_ISDN",    "AF_PHONET",
    "AF_IEEE802154", "AF_CAIF",      "AF_ALG",      "AF_NFC",   "AF_VSOCK",   "AF_KCM",
    "AF_QIPCRTR",    "AF_SMC",       "AF_XDP",      "AF_MCTP",
};
constexpr std::string_view kSocketTypes[] = {
    {}, "SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET", "SOCK_DCCP", {}, {},
    {}, "SOCK_PACKET"};

struct NamespaceName {
  std::uint64_t flag;
  std::string_view name;
};
constexpr NamespaceName kNamespaces[] = {{CLONE_NEWUSER, "user"},     {CLONE_NEWNS, "mnt"},
                                         {CLONE_NEWPID, "pid"},       {CLONE_NEWNET, "net"},
                                         {CLONE_NEWUTS, "uts"},       {CLONE_NEWIPC, "ipc"},
                                         {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWTIME, "time"}};

// A list of names in memory of its own, joined by commas.
class NameList {
 public:
  void add(std::string_view name) {
    if (size_ + 1 + name.size() > sizeof(text_)) return;
    if (size_ != 0) text_[size_++] = ',';
    size_ += name.copy(text_ + size_, name.size());
  }
  std::string_view text() const { return {text_, size_}; }

 private:
  char text_[1024];
  std::size_t size_ = 0;
};

// `prefix` and the number, for what has no name here.
std::string_view numbered(std::string_view prefix, std::uint64_t number, std::span<char> buffer) {
  const std::size_t used = prefix.copy(buffer.data(), buffer.size());
  const auto end = std::to_chars(buffer.data() + used, buffer.data() + buffer.size(), number).ptr;
  return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

std::string_view name_in(std::span<const std::string_view> names, std::uint32_t number,
                         Arena& arena) {
  if (number < names.size() && !names[number].empty()) return names[number];
  char buffer[20];
  return arena.store(numbered({}, number, buffer));
}

}  // namespace

std::string_view capabilities_text(std::uint64_t capabilities, Arena& arena) {
  constexpr std::uint64_t kAll = (std::uint64_t{1} << std::size(kCapabilities)) - 1;
  if (capabilities == 0) return {};
  if ((capabilities & kAll) == kAll) return "all";
  NameList list;
  for (std::size_t i = 0; i < 64; ++i) {
    if ((capabilities >> i & 1) == 0) continue;
    char buffer[20];
    list.add(i < std::size(kCapabilities) ? kCapabilities[i] : numbered("cap_", i, buffer));
  }
  return arena.store(list.text());
}

std::string_view namespaces_text(std::uint64_t clone_flags, Arena& arena) {
  NameList list;
  for (const NamespaceName& each : kNamespaces) {
    if ((clone_flags & each.flag) != 0) list.add(each.name);
  }
  return arena.store(list.text());
}

std::string_view bpf_command_text(std::uint32_t command, Arena& arena) {
  return name_in(kBpfCommands, command, arena);
}

std::string_view bpf_program_type_text(std::uint32_t type, Arena& arena) {
  return name_in(kBpfProgramTypes, type, arena);
}

std::string_view socket_family_text(std::uint32_t family, Arena& arena) {
  return name_in(kSocketFamilies, family, arena);
}

std::string_view socket_type_text(std::uint32_t type, Arena& arena) {
  return name_in(kSocketTypes, type, arena);
}

std::string_view socket_protocol_text(std::uint32_t family, std::uint32_t protocol, Arena& arena) {
  if (family == AF_PACKET) {
    char text[8];
    const int length = std::snprintf(text, sizeof(text), "0x%04x", ntohs(protocol & 0xffff));
    return arena.store({text, static_cast<std::size_t>(length)});
  }
  if (family == AF_INET || family == AF_INET6) {
    if (protocol == IPPROTO_ICMP) return "icmp";
    if (protocol == IPPROTO_ICMPV6) return "icmpv6";
    if (protocol == IPPROTO_SCTP) return "sctp";
    if (protocol == IPPROTO_RAW) return "raw";
    return protocol_text(static_cast<std::uint16_t>(protocol), arena);
  }
  return name_in({}, protocol, arena);
}

std::string_view io_uring_text(std::uint32_t opcode, Arena& arena) {
  return name_in(kIoUringOperations, opcode, arena);
}

}  // namespace cicd
