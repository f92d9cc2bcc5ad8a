// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where sockets are going: connects, and datagrams on unconnected sockets. Attached once at the
// root of the v2 hierarchy. Told in any case; a destination that the job's policy does not allow is
// refused here, in the caller's own context (EPERM), and a question for a name is turned to our
// resolver, without the caller noticing: the way back is put right in recvmsg and getpeername.
#define CICD_NO_TYPED_TASK
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "egress.h"
#include "emit.h"
#include "socket_owner.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ALLOW 1
#define DENY 0
#define SOCK_RAW 3

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

/* False: there was no room. */
static __always_inline bool emit_connect(struct bpf_sock_addr *ctx, __u16 flags,
                                         const struct cicd_actor *who,
                                         const struct destination *to) {
  struct cicd_sample_connect sample = {};
  fill_header_of_actor(&sample.header, CICD_SAMPLE_CONNECT, flags, sizeof(sample), who);
  sample.socket_cookie = bpf_get_socket_cookie(ctx);
  __builtin_memcpy(sample.remote_ip, to->ip, sizeof(sample.remote_ip));
  sample.remote_port = to->port;
  sample.family = to->family;
  sample.protocol = ctx->protocol;
  sample.socket_type = ctx->type;
  return emit_control(&sample, sizeof(sample), who->slot, CICD_SAMPLE_CONNECT);
}

static __always_inline bool to_port_zero(struct bpf_sock_addr *ctx, const struct destination *to) {
  /* glibc connects UDP sockets to port 0 to sort addresses; no packet leaves. */
  return to->port == 0 && (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP);
}

/* The note at the socket that its packets are known by; null: no memory for it. */
static __always_inline struct cicd_socket_owner *own_socket(struct bpf_sock_addr *ctx,
                                                            const struct cicd_actor *who,
                                                            __u32 epoch) {
  if (!ctx->sk) return 0;
  struct cicd_socket_owner *owner =
      bpf_sk_storage_get(&socket_owners, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!owner) {
    count_total(who->slot, CICD_TOTAL_SOCKET_FULL, 1);
    return 0;
  }
  if (owner->who.slot != who->slot || owner->epoch != epoch) {
    owner->generation = 0;
    owner->flags = 0;
    owner->epoch = epoch;
    owner->sent_bytes = owner->sent_packets = 0;
    owner->received_bytes = owner->received_packets = 0;
  }
  owner->who = *who;
  return owner;
}

static __always_inline void flow_to(struct bpf_sock_addr *ctx, const struct destination *to,
                                    struct flow *flow) {
  if (to->family == AF_INET) {
    flow->ip[2] = bpf_htonl(0xffff);
    flow->ip[3] = to->ip[0];
  } else {
    __builtin_memcpy(flow->ip, to->ip, sizeof(flow->ip));
  }
  flow->slot = to->slot;
  flow->port = to->port;
  flow->proto = ctx->protocol == IPPROTO_ICMPV6 ? IPPROTO_ICMP : ctx->protocol;
  flow->has_ports = flow->proto == IPPROTO_TCP || flow->proto == IPPROTO_UDP;
  flow->is_raw = ctx->type == SOCK_RAW;
}

/*
 * Turns a question for a name to our resolver. By the kind of the hook and not of the socket: the
 * verifier refuses one to write what is the other's.
 */
static __always_inline void redirect(struct bpf_sock_addr *ctx, const struct flow *flow, __u16 port,
                                     bool is_ip4_hook) {
  if (is_ip4_hook) {
    ctx->user_ip4 = bpf_htonl(0x7f000001);
  } else if (is_mapped(flow->ip)) {
    ctx->user_ip6[3] = bpf_htonl(0x7f000001);
  } else {
    ctx->user_ip6[0] = 0;
    ctx->user_ip6[1] = 0;
    ctx->user_ip6[2] = 0;
    ctx->user_ip6[3] = bpf_htonl(1);
  }
  ctx->user_port = bpf_htons(port);
}

static __always_inline bool is_question(const struct flow *flow,
                                        const struct cicd_egress_policy *policy) {
  return flow->port == CICD_DNS_PORT && policy->resolver_port && flow->has_ports;
}

/*
 * The resolver listens in the namespace. That of the process: the socket's cannot be read here. A
 * socket of another one is turned to the resolver there, or to a port where nobody is.
 */
static __always_inline bool has_resolver(const struct flow *flow) {
  struct task_struct *task = (void *)bpf_get_current_task();
  if (is_served(netns_of(task))) return true;
  ask_for_resolver(flow->slot, task);
  return false;
}

/* What the job's policy says. The note at the socket (null: none) says what it may send to. */
static __always_inline int admit(struct bpf_sock_addr *ctx, const struct cicd_actor *who,
                                 struct destination *to, __u16 hook, bool is_ip4_hook) {
  struct cicd_egress_policy *policy = policy_of(to->slot);
  if (!policy) return ALLOW;
  struct cicd_socket_owner *owner = own_socket(ctx, who, policy->epoch);
  struct flow flow = {};
  flow_to(ctx, to, &flow);
  if (owner) {
    set_flow(owner, &flow);
    owner->flags &= ~(CICD_SOCKET_REDIRECTED | CICD_SOCKET_BEFORE);
  }
  if (!policy->watching) {
    if (owner) owner->generation = policy->generation;
    return ALLOW;
  }
  if (policy->has_steps) flow.step = step_of_member(who->pid, to->slot);
  bool is_name = is_question(&flow, policy);
  if (owner && is_name && has_resolver(&flow)) {
    redirect(ctx, &flow, policy->resolver_port, is_ip4_hook);
    owner->flags |= CICD_SOCKET_REDIRECTED;
    owner->step = flow.step;
    owner->generation = policy->generation;
    return ALLOW;
  }
  struct judgement verdict = {};
  judge(&flow, policy, &verdict);
  if (owner) {
    owner->step = flow.step;
    owner->generation = verdict.blocking ? 0 : policy->generation;
  }
  if (!verdict.failing) return ALLOW;
  /* Nothing leaves by this; the C library sorts addresses so. What is sent is judged when it is; a
   * question is judged here, as rules of the job's namespace can give it another port until then.
   */
  if (hook == CICD_EGRESS_CONNECT && flow.proto == IPPROTO_UDP && owner && !is_name) {
    owner->generation = 0;
    return ALLOW;
  }
  if (!owner) {
    /* No memory to note who it is: counted, which tells that a row is missing. */
    count_total(to->slot, CICD_TOTAL_DENIED_FULL, 1);
    return verdict.blocking ? DENY : ALLOW;
  }
  struct attempt attempt = {.who = &owner->who,
                            .cookie = bpf_get_socket_cookie(ctx),
                            .socket_type = ctx->type,
                            .hook = hook};
  tell(&flow, &verdict, &attempt);
  return verdict.blocking ? DENY : ALLOW;
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, struct destination *to,
                                      bool is_ip4_hook) {
  to->slot = slot_of_current();
  if (!to->slot) return ALLOW;
  if (to_port_zero(ctx, to)) return ALLOW;
  struct cicd_actor who = {};
  actor_of_current(to->slot, &who);
  emit_connect(ctx, 0, &who, to);
  return admit(ctx, &who, to, CICD_EGRESS_CONNECT, is_ip4_hook);
}

static __always_inline bool same_destination(const struct destination *a,
                                             const struct destination *b) {
  return a->ip[0] == b->ip[0] && a->ip[1] == b->ip[1] && a->ip[2] == b->ip[2] &&
         a->ip[3] == b->ip[3] && a->pid == b->pid && a->slot == b->slot && a->port == b->port &&
         a->family == b->family;
}

/* Asked for anew after the sample: what is held across it doubles the verifier's work. */
static __always_inline void remember_sendmsg(struct bpf_sock_addr *ctx, struct destination *to) {
  if (!ctx->sk) return;
  struct destination *last =
      bpf_sk_storage_get(&last_sendmsg, ctx->sk, to, BPF_SK_STORAGE_GET_F_CREATE);
  if (last) *last = *to;
}

/* Only when it is not where the datagram that was told before went, by the same process. */
static __always_inline void tell_sendmsg(struct bpf_sock_addr *ctx, const struct cicd_actor *who,
                                         struct destination *to) {
  if (ctx->sk) {
    struct destination *last = bpf_sk_storage_get(&last_sendmsg, ctx->sk, 0, 0);
    if (last && same_destination(last, to)) {
      count_loss(to->slot, CICD_LOSS_REPEATED_SENDMSG);
      return;
    }
  }
  if (emit_connect(ctx, CICD_CONNECT_SENDMSG, who, to)) remember_sendmsg(ctx, to);
}

static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx, struct destination *to,
                                      bool is_ip4_hook) {
  to->slot = slot_of_current();
  if (!to->slot) return ALLOW;
  struct cicd_actor who = {};
  actor_of_current(to->slot, &who);
  to->pid = who.pid;
  tell_sendmsg(ctx, &who, to);
  return admit(ctx, &who, to, CICD_EGRESS_SENDMSG, is_ip4_hook);
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
  return on_connect(ctx, &to, true);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip6(ctx, &to);
  return on_connect(ctx, &to, false);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip4(ctx, &to);
  return on_sendmsg(ctx, &to, true);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx) {
  struct destination to = {};
  read_ip6(ctx, &to);
  return on_sendmsg(ctx, &to, false);
}

/* Where a redirected socket's peer is, as the job knows it; null: it is no such socket or peer. */
static __always_inline struct cicd_socket_owner *redirected(struct bpf_sock_addr *ctx) {
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->resolver_port || !ctx->sk) return 0;
  if (bpf_ntohs((__u16)ctx->user_port) != memory->resolver_port) return 0;
  struct cicd_socket_owner *owner = bpf_sk_storage_get(&socket_owners, ctx->sk, 0, 0);
  return owner && owner->flags & CICD_SOCKET_REDIRECTED ? owner : 0;
}

static __always_inline int put_right4(struct bpf_sock_addr *ctx) {
  struct cicd_socket_owner *owner = redirected(ctx);
  if (!owner || ctx->user_ip4 != bpf_htonl(0x7f000001)) return ALLOW;
  ctx->user_ip4 = ((__u32 *)owner->ip)[3];
  ctx->user_port = bpf_htons(owner->port);
  return ALLOW;
}

static __always_inline int put_right6(struct bpf_sock_addr *ctx) {
  struct cicd_socket_owner *owner = redirected(ctx);
  if (!owner) return ALLOW;
  __u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  if (!is_loopback(ip)) return ALLOW;
  __u32 *asked = (__u32 *)owner->ip;
  ctx->user_ip6[0] = asked[0];
  ctx->user_ip6[1] = asked[1];
  ctx->user_ip6[2] = asked[2];
  ctx->user_ip6[3] = asked[3];
  ctx->user_port = bpf_htons(owner->port);
  return ALLOW;
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx) { return put_right4(ctx); }

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx) { return put_right6(ctx); }

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx) { return put_right4(ctx); }

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx) { return put_right6(ctx); }
