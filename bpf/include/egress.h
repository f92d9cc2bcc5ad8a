/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a job may reach (wire/egress.h). judge() answers for one flow; tell() counts and reports
 * what a policy does not allow. Used where a socket gets its destination (network.bpf.c) and, for
 * whatever does not pass there, where packets leave (egress.bpf.c).
 *
 *   egress_nets      ranges of addresses                        W user   R judge
 *   egress_addrs     addresses of names that the job resolved   W user   R judge
 *   egress_steps     steps of a job (environment.h)             W user   R exec
 *   egress_denied    what was told, and how often since         W kernel R user, at the end
 *   dns_clients      who asks our resolver                      W kernel R user
 *
 * Policies, totals and network namespaces: job_netns.h. Traffic: traffic.h.
 *
 * None of them evicts what is in use: a door that was opened stays open until userspace shuts it.
 * (dns_clients does; a question that it lost is refused.)
 */
#ifndef CICD_EGRESS_H
#define CICD_EGRESS_H

#include <bpf/bpf_endian.h>

#include "emit.h"
#include "socket_owner.h"
#include "traffic.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define CICD_DOT_PORT 853
#define CICD_DOCKER_RESOLVER 0x7f00000b /* 127.0.0.11 */

/* Attempts of a process on a destination within this time are told as one. */
#define CICD_MERGE_NS 1000000000ULL

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 262144);
  __type(key, struct cicd_egress_net);
  __type(value, struct cicd_egress_rules);
} egress_nets SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 131072);
  __type(key, struct cicd_egress_address);
  __type(value, struct cicd_egress_rules);
} egress_addrs SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 16384);
  __type(key, struct cicd_denied_key);
  __type(value, struct cicd_denied);
} egress_denied SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, struct cicd_dns_client_key);
  __type(value, struct cicd_dns_client);
} dns_clients SEC(".maps") __weak;

/* Where something goes. */
struct flow {
  __u32 ip[4]; /* mapped, network order */
  __u32 slot;
  __u32 step;
  __u16 port;
  __u8 proto;
  bool is_raw;    /* the sender makes the header */
  bool has_ports; /* false: a fragment, or neither TCP nor UDP */
};

struct judgement {
  __u8 failing;  /* scopes whose policy does not allow it; 0: it may go */
  __u8 blocking; /* of these the ones that deny it */
  __u8 reason;
};

/* Also the unspecified address, which leads there. */
static __always_inline bool is_loopback(const __u32 *ip) {
  if (is_mapped(ip)) return (ip[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) || !ip[3];
  return !ip[0] && !ip[1] && !ip[2] && (ip[3] == bpf_htonl(1) || !ip[3]);
}
static __always_inline bool is_metadata(const __u32 *ip) {
  if (is_mapped(ip)) return ip[3] == bpf_htonl(0xa9fea9fe);
  return ip[0] == bpf_htonl(0xfd000ec2) && !ip[1] && !ip[2] && ip[3] == bpf_htonl(0x254);
}

/*
 * The questions to a policy are global functions of numbers, so that the verifier walks through
 * each of them once, and not again for every way that leads there. What they are asked is packed.
 */
#define judge_flow CICD_OWN(judge_flow)
#define match_rule CICD_OWN(match_rule)
#define match_address CICD_OWN(match_address)
#define match_net CICD_OWN(match_net)

#define FLOW_PORTS 1 /* flags of a packed flow */
#define FLOW_RAW 2
struct packed_flow {
  __u32 slot;
  __u16 port;
  __u8 proto;
  __u8 flags;
};
struct packed_policy {
  __u8 watching;
  __u8 default_allow;
  __u8 metadata_allow;
  __u8 dot_allow;
  __u8 ipv6_block;
  __u8 step; /* of the flow */
  __u8 has_resolver;
  __u8 pad0;
};
/* Scopes whose rules say so, or 1. */
struct matches {
  __u8 allowed;
  __u8 denied;
  __u8 other_port; /* would be allowed, to another port or by another protocol */
  __u8 other_step;
  __u8 has_doh;
  __u8 pad0[3];
};
#define PACKED(type) \
  union {            \
    struct type as;  \
    __u64 number;    \
  }

/* `ports_and_kind`: the first 8 bytes of a rule; `asked`: a packed flow; step in the high half. */
__noinline __u64 match_rule(__u64 first_half, __u64 asked, __u64 step) {
  union {
    struct {
      __u16 port_first;
      __u16 port_last;
      __u8 proto;
      __u8 kind;
      __u8 scopes;
      __u8 step;
    } as;
    __u64 number;
  } rule = {.number = first_half};
  PACKED(packed_flow) flow = {.number = asked};
  PACKED(matches) out = {};
  bool all_ports = !rule.as.port_first && rule.as.port_last == 0xffff;
  bool fits = all_ports || (flow.as.flags & FLOW_PORTS && flow.as.port >= rule.as.port_first &&
                            flow.as.port <= rule.as.port_last);
  if (rule.as.proto && rule.as.proto != flow.as.proto) fits = false;
  bool in_step = !rule.as.step || rule.as.step == step;
  if (rule.as.kind == CICD_EGRESS_ALLOW) {
    if (!fits) {
      out.as.other_port = rule.as.scopes;
    } else if (!in_step) {
      out.as.other_step = rule.as.scopes;
    } else {
      out.as.allowed = rule.as.scopes;
    }
  } else if (fits && in_step) {
    out.as.denied = rule.as.scopes;
    out.as.has_doh = rule.as.kind == CICD_EGRESS_DENY_DOH;
  }
  return out.number;
}

static __always_inline __u64 match_rules(const struct cicd_egress_rules *rules, __u64 asked,
                                         __u64 step) {
  __u64 found = 0;
  __u32 count = rules->count;
  for (__u32 i = 0; i < CICD_EGRESS_RULES_MAX; i++) {
    if (i >= count) break;
    __u64 first_half;
    __builtin_memcpy(&first_half, &rules->rules[i], sizeof(first_half));
    found |= match_rule(first_half, asked, step);
  }
  return found;
}

__noinline __u64 match_address(__u64 ip_first, __u64 ip_second, __u64 asked, __u64 step) {
  struct cicd_egress_address key = {.slot = (__u32)asked};
  __builtin_memcpy(key.ip, &ip_first, 8);
  __builtin_memcpy(key.ip + 8, &ip_second, 8);
  struct cicd_egress_rules *rules = bpf_map_lookup_elem(&egress_addrs, &key);
  return rules ? match_rules(rules, asked, step) : 0;
}

__noinline __u64 match_net(__u64 ip_first, __u64 ip_second, __u64 asked, __u64 step) {
  struct cicd_egress_net key = {.prefix_bits = 160, .slot = (__u32)asked};
  __builtin_memcpy(key.ip, &ip_first, 8);
  __builtin_memcpy(key.ip + 8, &ip_second, 8);
  struct cicd_egress_rules *rules = bpf_map_lookup_elem(&egress_nets, &key);
  return rules ? match_rules(rules, asked, step) : 0;
}

/* Why it fails in these scopes when no rule denies it. */
static __always_inline __u8 reason_without_rule(const struct packed_flow *flow, __u32 failing,
                                                const struct matches *matches) {
  if (matches->other_step & failing) return CICD_REASON_STEP;
  if (flow->flags & FLOW_RAW || (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP)) {
    return CICD_REASON_RAW_SOCKET;
  }
  if (matches->other_port & failing) return CICD_REASON_PORT;
  return flow->flags & FLOW_PORTS ? CICD_REASON_DIRECT_IP : CICD_REASON_DEFAULT_DENY;
}

/*
 * A question that does not go to our resolver: its namespace has none (network.bpf.c), or it is a
 * packet of the sender's own making. Docker's resolver in a container (always at 127.0.0.11, by its
 * rules on a port of any number) forwards whatever it is asked, so it is none of the job's
 * loopback.
 */
static __always_inline bool goes_round_resolver(const struct packed_flow *flow, const __u32 *ip) {
  if (flow->flags & FLOW_PORTS && flow->port == CICD_DNS_PORT) return true;
  return is_mapped(ip) && ip[3] == bpf_htonl(CICD_DOCKER_RESOLVER);
}

/* Failing scopes in the low byte, the reason in the second. */
__noinline __u64 judge_flow(__u64 ip_first, __u64 ip_second, __u64 asked, __u64 asked_policy) {
  PACKED(packed_flow) flow = {.number = asked};
  PACKED(packed_policy) policy = {.number = asked_policy};
  __u32 ip[4];
  __builtin_memcpy(ip, &ip_first, 8);
  __builtin_memcpy(ip + 2, &ip_second, 8);
  __u32 watching = policy.as.watching;
  __u32 failing = is_metadata(ip) ? watching & ~policy.as.metadata_allow : 0;
  if (failing) return failing | CICD_REASON_METADATA << 8;
  if (flow.as.flags & FLOW_PORTS && flow.as.port == CICD_DOT_PORT) {
    failing = watching & ~policy.as.dot_allow;
    if (failing) return failing | CICD_REASON_DOT << 8;
  }
  if (policy.as.has_resolver && goes_round_resolver(&flow.as, ip)) {
    return watching | CICD_REASON_DEFAULT_DENY << 8;
  }
  bool is_local = is_loopback(ip);
  if (!is_local && !is_mapped(ip)) {
    failing = watching & policy.as.ipv6_block;
    if (failing) return failing | CICD_REASON_IPV6 << 8;
  }
  PACKED(matches) matches;
  matches.number = match_address(ip_first, ip_second, asked, policy.as.step) |
                   match_net(ip_first, ip_second, asked, policy.as.step);
  failing = watching & matches.as.denied;
  if (failing) {
    return failing | (matches.as.has_doh ? CICD_REASON_DOH : CICD_REASON_RULE) << 8;
  }
  if (is_local) return 0;
  failing = watching & ~(matches.as.allowed | policy.as.default_allow);
  if (!failing) return 0;
  return failing | (__u32)reason_without_rule(&flow.as, failing, &matches.as) << 8;
}

/* `watching` of the policy is not 0. */
static __always_inline void judge(const struct flow *flow, const struct cicd_egress_policy *policy,
                                  struct judgement *out) {
  PACKED(packed_flow)
  asked = {.as = {.slot = flow->slot, .port = flow->port, .proto = flow->proto}};
  if (flow->has_ports) asked.as.flags |= FLOW_PORTS;
  if (flow->is_raw) asked.as.flags |= FLOW_RAW;
  PACKED(packed_policy)
  of = {.as = {.watching = policy->watching,
               .default_allow = policy->default_allow,
               .metadata_allow = policy->metadata_allow,
               .dot_allow = policy->dot_allow,
               .ipv6_block = policy->ipv6_block,
               .step = flow->step,
               .has_resolver = policy->resolver_port != 0}};
  __u64 ip[2];
  __builtin_memcpy(ip, flow->ip, sizeof(ip));
  __u64 answer = judge_flow(ip[0], ip[1], asked.number, of.number);
  out->failing = answer;
  out->blocking = out->failing & policy->enforcing;
  out->reason = answer >> 8;
}

/* What is told of an attempt besides the flow. */
struct attempt {
  const struct cicd_actor *who; /* a pointer: the stack is small */
  __u64 cookie;
  __u64 bytes;
  __u16 socket_type;
  __u16 hook;
  __u32 pad0;
};

/* The compiler makes an "or" of adding a constant zero, which kernels before 5.12 do not know. */
static __always_inline void add_bytes(__u64 *total, __u64 bytes) {
  if (bytes) __sync_fetch_and_add(total, bytes);
}

/*
 * How many attempts are to be told now, and the bytes of those before it; 0: it is merged with the
 * one before.
 */
static __always_inline __u64 merge_attempt(const struct cicd_denied_key *key,
                                           const struct flow *flow, const struct judgement *verdict,
                                           const struct attempt *attempt, __u64 *bytes_before) {
  __u64 now = bpf_ktime_get_boot_ns();
  struct cicd_denied *known = bpf_map_lookup_elem(&egress_denied, key);
  if (known) {
    if (now - known->last_told_ns < CICD_MERGE_NS) {
      __sync_fetch_and_add(&known->pending, 1);
      add_bytes(&known->pending_bytes, attempt->bytes);
      return 0;
    }
    known->last_told_ns = now;
    __u64 pending = known->pending;
    __u64 pending_bytes = known->pending_bytes;
    __sync_fetch_and_add(&known->pending, -pending);
    __sync_fetch_and_add(&known->pending_bytes, -pending_bytes);
    *bytes_before = pending_bytes;
    return 1 + pending;
  }
  struct cicd_denied fresh = {
      .last_told_ns = now,
      .start_time_ns = attempt->who->start_time_ns,
      .cgroup_id = attempt->who->cgroup_id,
      .scopes = verdict->failing,
      .is_audit = !verdict->blocking,
      .step = flow->step,
  };
  if (bpf_map_update_elem(&egress_denied, key, &fresh, BPF_NOEXIST)) {
    count_total(key->slot, CICD_TOTAL_DENIED_FULL, 1);
  }
  return 1;
}

/* A function of its own: with judge_flow() below the same frame there would not be stack enough. */
static __noinline void tell(const struct flow *flow, const struct judgement *verdict,
                            const struct attempt *attempt) {
  __u32 group = verdict->blocking ? CICD_TOTAL_DENIED : CICD_TOTAL_AUDITED;
  count_total(flow->slot, group + (verdict->reason & (CICD_REASONS - 1)), 1);
  struct cicd_denied_key key = {.slot = flow->slot,
                                .pid = attempt->who->pid,
                                .exec_id = attempt->who->exec_id,
                                .port = flow->port,
                                .proto = flow->proto,
                                .reason = verdict->reason};
  if (attempt->hook == CICD_EGRESS_PACKET) key.reason |= CICD_DENIED_PACKETS;
  __builtin_memcpy(key.ip, flow->ip, sizeof(key.ip));
  __u64 bytes_before = 0;
  __u64 count = merge_attempt(&key, flow, verdict, attempt, &bytes_before);
  if (!count) return;
  struct cicd_sample_egress sample = {};
  __u16 flags = attempt->who->pid ? 0 : CICD_EGRESS_UNKNOWN_OWNER;
  fill_header_of_actor(&sample.header, CICD_SAMPLE_EGRESS, flags, sizeof(sample), attempt->who);
  sample.header.slot = flow->slot;
  sample.socket_cookie = attempt->cookie;
  sample.count = count;
  sample.bytes = attempt->bytes + bytes_before;
  if (is_mapped(flow->ip)) {
    __builtin_memcpy(sample.remote_ip, &flow->ip[3], 4);
    sample.family = AF_INET;
  } else {
    __builtin_memcpy(sample.remote_ip, flow->ip, sizeof(sample.remote_ip));
    sample.family = AF_INET6;
  }
  sample.remote_port = flow->port;
  sample.protocol = flow->proto;
  sample.socket_type = attempt->socket_type;
  sample.reason = verdict->reason;
  sample.scopes = verdict->failing;
  sample.is_audit = !verdict->blocking;
  sample.step = flow->step;
  sample.hook = attempt->hook;
  if (emit_control(&sample, sizeof(sample), flow->slot, CICD_SAMPLE_EGRESS)) return;
  /* Told later, with the repeats. */
  struct cicd_denied *known = bpf_map_lookup_elem(&egress_denied, &key);
  if (!known) return;
  __sync_fetch_and_add(&known->pending, count);
  add_bytes(&known->pending_bytes, sample.bytes);
}

/* True: the socket talks to this destination already. */
static __always_inline bool is_same_flow(const struct cicd_socket_owner *owner,
                                         const struct flow *flow) {
  const __u32 *ip = (const __u32 *)owner->ip;
  return ip[3] == flow->ip[3] && ip[2] == flow->ip[2] && ip[1] == flow->ip[1] &&
         ip[0] == flow->ip[0] && owner->port == flow->port && owner->proto == flow->proto;
}

/* From now on the socket talks to this destination. */
static __always_inline void set_flow(struct cicd_socket_owner *owner, const struct flow *flow) {
  if (is_same_flow(owner, flow)) return;
  add_traffic(owner);
  __builtin_memcpy(owner->ip, flow->ip, sizeof(owner->ip));
  owner->port = flow->port;
  owner->proto = flow->proto;
}

#endif
