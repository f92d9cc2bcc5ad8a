// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Sockets that are made and are neither Unix, netlink, nor plain TCP and UDP: packet sockets,
// AF_XDP and AF_VSOCK send what no cgroup hook sees, raw sockets make the headers themselves. Two
// backends: the kernel's own function, past which nothing makes a socket, and the system call when
// it returns.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "socket_kind.h"
#include "syscall_args.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp/syscalls/sys_exit_socket")
int socket_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  tell_socket(args[0], args[1], args[2], ctx->ret, slot);
  return 0;
}

/* int __sock_create(struct net *, int family, int type, int protocol, struct socket **, int kern);
 * `kern`: for the kernel itself, as a mount of NFS does. */
SEC("fexit")
int socket_created(__u64 *ctx) {
  __u32 slot = slot_of_current();
  if (!slot || (int)argument(ctx, 5)) return 0;
  tell_socket(argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), int_result(ctx, 6), slot);
  return 0;
}
