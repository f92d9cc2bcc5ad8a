// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connects, and datagrams on unconnected sockets. Attached once at the root of the v2 hierarchy;
// the verdict is always "allow".
#define CICD_NO_TYPED_TASK
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "socket_owner.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ALLOW 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* Where a socket's last datagram went, and who sent it. */
struct destination {
  __u32 ip[4];
  __u32 pid;
  __u32 slot;
  __u16 port;
  __u16 family;
  __u32 pad0;
};

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct destination);
} last_sendmsg SEC(".maps");

static __always_inline void emit_connect(struct bpf_sock_addr *ctx, __u32 slot, __u16 flags,
                                         const struct destination *to) {
  struct cicd_sample_connect sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_CONNECT, flags, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.socket_cookie = bpf_get_socket_cookie(ctx);
  __builtin_memcpy(sample.remote_ip, to->ip, sizeof(sample.remote_ip));
  sample.remote_port = to->port;
  sample.family = to->family;
  sample.protocol = ctx->protocol;
  sample.socket_type = ctx->type;
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_CONNECT);
}

static __always_inline bool to_port_zero(struct bpf_sock_addr *ctx, const struct destination *to) {
  /* glibc connects UDP sockets to port 0 to sort addresses; no packet leaves. */
  return to->port == 0 && (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP);
}

/* Its packets may come or go when nobody runs who could be asked (dns.bpf.c, http.bpf.c). */
static __always_inline void remember_owner(struct bpf_sock_addr *ctx, __u32 slot,
                                           const struct destination *to) {
  bool is_of_use = to->port == CICD_DNS_PORT || ctx->protocol == IPPROTO_TCP;
  if (!is_of_use || !ctx->sk) return;
  struct cicd_socket_owner owner = owner_of_task((void *)bpf_get_current_task(), slot);
  struct cicd_socket_owner *kept =
      bpf_sk_storage_get(&socket_owners, ctx->sk, &owner, BPF_SK_STORAGE_GET_F_CREATE);
  if (kept) *kept = owner;
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, struct destination *to) {
  __u32 slot = slot_of_current();
  if (!slot) return ALLOW;
  remember_owner(ctx, slot, to);
  if (!to_port_zero(ctx, to)) emit_connect(ctx, slot, 0, to);
  return ALLOW;
}

static __always_inline bool same_destination(const struct destination *a,
                                             const struct destination *b) {
  return a->ip[0] == b->ip[0] && a->ip[1] == b->ip[1] && a->ip[2] == b->ip[2] &&
         a->ip[3] == b->ip[3] && a->pid == b->pid && a->slot == b->slot && a->port == b->port &&
         a->family == b->family;
}

static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx, struct destination *to) {
  to->slot = slot_of_current();
  if (!to->slot) return ALLOW;
  remember_owner(ctx, to->slot, to);
  to->pid = bpf_get_current_pid_tgid() >> 32;
  if (ctx->sk) {
    struct destination *last = bpf_sk_storage_get(&last_sendmsg, ctx->sk, 0, 0);
    if (last && same_destination(last, to)) {
      count_loss(to->slot, CICD_LOSS_REPEATED_SENDMSG);
      return ALLOW;
    }
    if (!last) last = bpf_sk_storage_get(&last_sendmsg, ctx->sk, to, BPF_SK_STORAGE_GET_F_CREATE);
    if (last) *last = *to;
  }
  emit_connect(ctx, to->slot, CICD_CONNECT_SENDMSG, to);
  return ALLOW;
}

static __always_inline void read_ip4(struct bpf_sock_addr *ctx, struct destination *to) {
  to->family = AF_INET;
  to->ip[0] = ctx->user_ip4;
  to->port = bpf_ntohs((__u16)ctx->user_port);
}

static __always_inline void read_ip6(struct bpf_sock_addr *ctx, struct destination *to) {
  to->family = AF_INET6;
  to->ip[0] = ctx->user_ip6[0];
  to->ip[1] = ctx->user_ip6[1];
  to->ip[2] = ctx->user_ip6[2];
  to->ip[3] = ctx->user_ip6[3];
  to->port = bpf_ntohs((__u16)ctx->user_port);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip4(ctx, &to);
  return on_connect(ctx, &to);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip6(ctx, &to);
  return on_connect(ctx, &to);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip4(ctx, &to);
  return on_sendmsg(ctx, &to);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip6(ctx, &to);
  return on_sendmsg(ctx, &to);
}
