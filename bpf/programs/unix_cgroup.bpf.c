// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connects of Unix sockets and datagrams on unconnected ones, from the hooks in the kernel's own
// sockets (6.7 and later): whatever leads there, 32-bit calls and io_uring too. Attached once at
// the root of the v2 hierarchy; the verdict is always "allow".
#define CICD_NO_TYPED_TASK
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "track.h"
#include "unix_name.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ALLOW 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_sock_addr_kern {
  void *uaddr; /* a copy in kernel memory */
  __u32 uaddrlen;
};
#pragma clang attribute pop

/* The hook's own context has no room for the address. Weak: a kernel without it (before 6.2) is to
 * refuse these two programs, not the object. */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct unix_destination);
} last_unix_sendmsg SEC(".maps");

static __always_inline bool read_sample(struct bpf_sock_addr *ctx, __u16 flags, __u32 slot,
                                        struct unix_sample *sample) {
  struct bpf_sock_addr_kern *kernel = bpf_cast_to_kern_ctx(ctx);
  fill_header_of_current(&sample->fixed.header, CICD_SAMPLE_UNIX_CONNECT, flags, 0, slot,
                         (void *)bpf_get_current_task());
  sample->fixed.socket_cookie = bpf_get_socket_cookie(ctx);
  sample->fixed.socket_type = ctx->type;
  return read_unix_name(sample, kernel->uaddr, kernel->uaddrlen, false);
}

static __always_inline bool emit_claimed(struct unix_sample *sample) {
  struct cicd_scratch *scratch = claim_scratch();
  bool is_told = emit_unix(sample, scratch);
  if (scratch) release_scratch(scratch);
  return is_told;
}

SEC("cgroup/connect_unix")
int unix_connect(struct bpf_sock_addr *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return ALLOW;
  struct unix_sample sample = {};
  if (read_sample(ctx, 0, slot, &sample)) emit_claimed(&sample);
  return ALLOW;
}

/* True when the socket's last datagram that was told went there, too. */
static __always_inline bool is_repeat(struct bpf_sock_addr *ctx,
                                      const struct unix_destination *to) {
  if (!ctx->sk) return false;
  struct unix_destination *last = bpf_sk_storage_get(&last_unix_sendmsg, ctx->sk, 0, 0);
  if (!last || !same_unix_destination(last, to)) return false;
  count_loss(to->slot, CICD_LOSS_REPEATED_SENDMSG);
  return true;
}

static __always_inline void remember_destination(struct bpf_sock_addr *ctx,
                                                 const struct unix_destination *to) {
  if (!ctx->sk) return;
  struct unix_destination *last =
      bpf_sk_storage_get(&last_unix_sendmsg, ctx->sk, (void *)to, BPF_SK_STORAGE_GET_F_CREATE);
  if (last) *last = *to;
}

SEC("cgroup/sendmsg_unix")
int unix_sendmsg(struct bpf_sock_addr *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return ALLOW;
  struct unix_sample sample = {};
  if (!read_sample(ctx, CICD_UNIX_SENDMSG, slot, &sample)) return ALLOW;
  struct unix_destination to = {};
  unix_destination_of(&sample, &to);
  if (!is_repeat(ctx, &to) && emit_claimed(&sample)) remember_destination(ctx, &to);
  return ALLOW;
}
