// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connects of Unix sockets and datagrams on unconnected ones, for kernels without the hooks of
// unix_cgroup.bpf.c. Two backends: at the functions of Unix sockets in the kernel, whatever leads
// there, with the address that the kernel has read; and when a system call returns, with the
// address that lies in memory then.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file_of.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"
#include "unix_name.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define NR_CONNECT 42
#define NR_SENDTO 44
#define NR_SENDMSG 46
#define NR_SENDMMSG 307
#else
#define NR_CONNECT 203
#define NR_SENDTO 206
#define NR_SENDMSG 211
#define NR_SENDMMSG 269
#endif

#define SOCK_DGRAM 2
#define MESSAGES_MAX 1024 /* UIO_MAXIOV: the kernel takes no more in a call */
#define MESSAGE_BYTES 64  /* struct mmsghdr */
#define SOCKETS_MAX 1024

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct {
  __s64 counter;
} atomic64_t;
struct sock_common {
  unsigned short skc_family;
  atomic64_t skc_cookie;
};
struct sock {
  struct sock_common __sk_common;
};
struct socket {
  short type;
  struct file *file;
  struct sock *sk;
};
struct msghdr {
  void *msg_name;
  int msg_namelen;
};
struct file___socket {
  void *private_data;
};
#pragma clang attribute pop

/* The call in work, and its socket. */
struct unix_call {
  __u64 cookie;
  __u64 socket; /* with the inode: a socket, and not another one later at the same place */
  __u64 inode;
  __u32 slot;
  __u32 pid;
  __u16 type;
  __u16 flags; /* enum cicd_unix_flags */
  __u32 pad0;
  /* Written by is_repeat(); on the stack it would be too much before 6.8. */
  struct unix_destination to;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct unix_call);
} unix_calls SEC(".maps");

struct sender {
  __u64 socket;
  __u64 inode;
  __u32 pid;
  __u32 slot;
};

/* When it is full the oldest is forgotten: its next datagram is reported once more. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, SOCKETS_MAX);
  __type(key, struct sender);
  __type(value, struct unix_destination);
} last_unix_sent SEC(".maps");

static __always_inline struct unix_call *unix_call(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&unix_calls, &zero);
}

/* Whether the last datagram that was told went there, too. */
static __always_inline bool is_repeat(struct unix_call *call, const struct unix_sample *sample) {
  unix_destination_of(sample, &call->to);
  struct sender sender = {call->socket, call->inode, call->pid, call->slot};
  struct unix_destination *last = bpf_map_lookup_elem(&last_unix_sent, &sender);
  if (!last || !same_unix_destination(last, &call->to)) return false;
  count_loss(call->slot, CICD_LOSS_REPEATED_SENDMSG);
  return true;
}

static __always_inline void remember_destination(struct unix_call *call) {
  struct sender sender = {call->socket, call->inode, call->pid, call->slot};
  bpf_map_update_elem(&last_unix_sent, &sender, &call->to, BPF_ANY);
}

static __always_inline void report_name(struct unix_call *call, struct cicd_scratch *scratch,
                                        const void *address, __u32 length, bool is_user) {
  struct unix_sample sample = {};
  fill_header_of_current(&sample.fixed.header, CICD_SAMPLE_UNIX_CONNECT, call->flags, 0, call->slot,
                         (void *)bpf_get_current_task());
  sample.fixed.socket_cookie = call->cookie;
  sample.fixed.socket_type = call->type;
  if (!read_unix_name(&sample, address, length, is_user)) return;
  bool is_datagram = call->flags & CICD_UNIX_SENDMSG;
  if (is_datagram && is_repeat(call, &sample)) return;
  if (emit_unix(&sample, scratch) && is_datagram) remember_destination(call);
}

/* One address of the call in work. A global function: the verifier checks it once. */
__noinline int report_address(__u64 address, __u32 length) {
  struct unix_call *call = unix_call();
  if (!call || !address) return 0;
  __u16 family = 0;
  bpf_probe_read_user(&family, sizeof(family), (const void *)address);
  if (family == CICD_AF_UNIX) {
    report_name(call, scratch_memory(), (const void *)address, length, true);
  }
  return 0;
}

/* Whether the descriptor is a Unix socket that the call can use. */
static __always_inline bool read_socket(struct unix_call *call, int fd) {
  struct file *file = file_of((void *)bpf_get_current_task(), fd);
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  if (BPF_CORE_READ(inode, i_sb, s_magic) != CICD_MAGIC_SOCKET) return false;
  struct file___socket *of_socket = (void *)file;
  struct socket *socket = BPF_CORE_READ(of_socket, private_data);
  struct sock *sock = BPF_CORE_READ(socket, sk);
  if (BPF_CORE_READ(sock, __sk_common.skc_family) != CICD_AF_UNIX) return false;
  call->cookie = BPF_CORE_READ(sock, __sk_common.skc_cookie.counter);
  call->socket = (__u64)sock;
  call->inode = BPF_CORE_READ(inode, i_ino);
  call->type = BPF_CORE_READ(socket, type);
  /* Of the others only connected sockets send; an address changes nothing then. */
  return !(call->flags & CICD_UNIX_SENDMSG) || call->type == SOCK_DGRAM;
}

struct message_head {
  __u64 address;
  __u32 length;
};

static __always_inline void report_message(__u64 message) {
  struct message_head head = {};
  bpf_probe_read_user(&head, sizeof(__u64) + sizeof(__u32), (const void *)message);
  if (head.address && head.length) report_address(head.address, head.length);
}

/* Those that were sent, and the one that failed. */
static __always_inline void report_messages(__u64 messages, __u32 count, long result) {
  __u32 tried = result < 0 ? 1 : (__u32)result + 1;
  if (tried > count) tried = count;
  for (__u32 i = 0; i < MESSAGES_MAX; i++) {
    if (i >= tried) return;
    report_message(messages + i * MESSAGE_BYTES);
  }
}

SEC("tp/syscalls/sys_exit_connect")
int unix_called(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct unix_call *call = unix_call();
  if (!call) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  int number = (int)ctx->id;
  unsigned long args[6];
  struct pt_regs *regs = entry_registers();
  syscall_args(regs, args);
  syscall_late_args(regs, args + 3);
  __builtin_memset(call, 0, __builtin_offsetof(struct unix_call, to));
  call->slot = slot;
  call->pid = bpf_get_current_pid_tgid() >> 32;
  if (number != NR_CONNECT) call->flags = CICD_UNIX_SENDMSG;
  if (number == NR_SENDTO && !args[4]) return 0;
  if (!read_socket(call, (int)args[0])) return 0;
  if (number == NR_CONNECT) {
    report_address(args[1], (__u32)args[2]);
  } else if (number == NR_SENDTO) {
    report_address(args[4], (__u32)args[5]);
  } else if (number == NR_SENDMSG) {
    report_message(args[1]);
  } else if (number == NR_SENDMMSG) {
    report_messages(args[1], (__u32)args[2], ctx->ret);
  }
  return 0;
}

/* The call's memory is held together with the scratch memory. */
static __always_inline void use_socket(struct socket *socket, const void *address, __u32 length,
                                       __u16 flags) {
  __u32 slot = slot_of_current();
  if (!slot || !address || !length) return;
  __u16 type = BPF_CORE_READ(socket, type);
  if ((flags & CICD_UNIX_SENDMSG) && type != SOCK_DGRAM) return;
  __u16 family = 0;
  bpf_probe_read_kernel(&family, sizeof(family), address);
  if (family != CICD_AF_UNIX) return;
  struct unix_call *call = unix_call();
  struct cicd_scratch *scratch = claim_scratch();
  if (!call || !scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    if (scratch) release_scratch(scratch);
    return;
  }
  struct sock *sock = BPF_CORE_READ(socket, sk);
  call->cookie = BPF_CORE_READ(sock, __sk_common.skc_cookie.counter);
  call->socket = (__u64)sock;
  call->inode = BPF_CORE_READ(socket, file, f_inode, i_ino);
  call->slot = slot;
  call->pid = bpf_get_current_pid_tgid() >> 32;
  call->type = type;
  call->flags = flags;
  report_name(call, scratch, address, length, false);
  release_scratch(scratch);
}

/* int unix_stream_connect(struct socket *, struct sockaddr *, int len, int flags) */
SEC("fentry")
int stream_connect(void *ctx) {
  use_socket((void *)argument(ctx, 0), (void *)argument(ctx, 1), (__u32)argument(ctx, 2), 0);
  return 0;
}

/* int unix_dgram_connect(struct socket *, struct sockaddr *, int len, int flags) */
SEC("fentry")
int dgram_connect(void *ctx) {
  use_socket((void *)argument(ctx, 0), (void *)argument(ctx, 1), (__u32)argument(ctx, 2), 0);
  return 0;
}

/* int unix_dgram_sendmsg(struct socket *, struct msghdr *, size_t) */
SEC("fentry")
int dgram_sendmsg(void *ctx) {
  if (!slot_of_current()) return 0;
  struct msghdr *message = (void *)argument(ctx, 1);
  use_socket((void *)argument(ctx, 0), BPF_CORE_READ(message, msg_name),
             (__u32)BPF_CORE_READ(message, msg_namelen), CICD_UNIX_SENDMSG);
  return 0;
}
