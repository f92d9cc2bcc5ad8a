// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Sockets that are made and are neither Unix, netlink, nor plain TCP and UDP: packet sockets,
// AF_XDP and AF_VSOCK send what no cgroup hook sees, raw sockets make the headers themselves. Two
// backends: the kernel's own function, past which nothing makes a socket, and the system call when
// it returns.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "emit.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define REPEATS_MAX 1024

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_PACKET 10
#define SOCK_TYPE_MASK 0xf
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

struct socket_use {
  __u64 start_time_ns;
  __u32 pid;
  __u32 exec_id;
  __u32 family;
  __u32 type;
  __u32 protocol;
  __u32 error;
  __u32 slot;
  __u32 pad0;
};

/* What was reported. What is pushed out is reported again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, REPEATS_MAX);
  __type(key, struct socket_use);
  __type(value, __u8);
} told_sockets SEC(".maps");

/* Nearly all are; what they do is told when they connect. */
static __always_inline bool is_ordinary(__u32 family, __u32 type, __u32 protocol) {
  if (family == AF_UNIX || family == AF_NETLINK) return true;
  if (family != AF_INET && family != AF_INET6) return false;
  if (type == SOCK_STREAM) {
    return !protocol || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
  }
  return type == SOCK_DGRAM && (!protocol || protocol == IPPROTO_UDP);
}

static __always_inline void tell_socket(__u32 family, __u32 type, __u32 protocol, long result) {
  type &= SOCK_TYPE_MASK;
  if (is_ordinary(family, type, protocol)) return;
  __u32 slot = slot_of_current();
  if (!slot) return;
  /* As it was written before there was a family for it; the kernel makes the one of the other. */
  if (family == AF_INET && type == SOCK_PACKET) family = AF_PACKET;
  struct cicd_sample_socket sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_SOCKET, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.family = family;
  sample.type = type;
  sample.protocol = protocol;
  sample.error = result < 0 ? -result : 0;
  struct socket_use use = {
      .start_time_ns = sample.header.start_time_ns,
      .pid = sample.header.pid,
      .exec_id = sample.header.exec_id,
      .family = family,
      .type = type,
      .protocol = protocol,
      .error = sample.error,
      .slot = slot,
  };
  __u8 one = 1;
  if (bpf_map_lookup_elem(&told_sockets, &use)) {
    count_loss(slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  bpf_map_update_elem(&told_sockets, &use, &one, BPF_ANY);
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_SOCKET);
}

SEC("tp/syscalls/sys_exit_socket")
int socket_returned(struct trace_event_raw_sys_exit *ctx) {
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  tell_socket(args[0], args[1], args[2], ctx->ret);
  return 0;
}

/* int __sock_create(struct net *, int family, int type, int protocol, struct socket **, int kern);
 * `kern`: for the kernel itself, as a mount of NFS does. */
SEC("fexit")
int socket_created(__u64 *ctx) {
  if ((int)argument(ctx, 5)) return 0;
  tell_socket(argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), int_result(ctx, 6));
  return 0;
}
