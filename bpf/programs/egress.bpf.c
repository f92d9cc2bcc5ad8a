// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets of jobs on their way out that no connect or sendmsg has let pass: the backstop of
// network.bpf.c. Raw sockets, sockets from before the job, packets of a connected socket to
// somewhere else, subflows that the kernel makes by itself. Never by the task that happens to run.
// And the notes at sockets that are made and let go. At the root of the v2 hierarchy.
#define CICD_NO_TYPED_TASK
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "egress.h"
#include "emit.h"
#include "packet.h"
#include "socket_owner.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ALLOW 1
#define DENY 0
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define ICMPV6_MLD_REPORT 131
#define ICMPV6_MLD_DONE 132
#define ICMPV6_ROUTER_SOLICITATION 133
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMPV6_MLD2_REPORT 143

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sock___kernel {
  __u8 sk_kern_sock : 1;
};
struct sock_common___netns {
  struct {
    struct net___netns *net;
  } skc_net;
};
struct sock___netns {
  struct sock_common___netns __sk_common;
};
#pragma clang attribute pop

/* The verifier lets nobody add to the address of a socket; what a helper copied is a number. */
static __always_inline void *kernel_address(struct bpf_sock *sk) {
  __u64 address = 0;
  bpf_probe_read_kernel(&address, sizeof(address), &sk);
  return (void *)address;
}

static __always_inline bool is_kernel_socket(struct bpf_sock *sk) {
  if (!bpf_core_field_exists(struct sock___kernel, sk_kern_sock)) return false;
  struct sock___kernel *sock = kernel_address(sk);
  return BPF_CORE_READ_BITFIELD_PROBED(sock, sk_kern_sock);
}

/*
 * What the kernel asks and answers on the link, which nothing over IPv6 goes without: ARP, which no
 * program here sees, is that of IPv4. Of the namespace's own socket only: a job that writes such
 * messages itself does it over a socket of its own, and is judged.
 */
static __always_inline bool is_link_talk(__u8 type, struct bpf_sock *sk) {
  bool is_group_report =
      type == ICMPV6_MLD_REPORT || type == ICMPV6_MLD2_REPORT || type == ICMPV6_MLD_DONE;
  bool is_discovery = type >= ICMPV6_ROUTER_SOLICITATION && type <= ICMPV6_NEIGHBOUR_ADVERTISEMENT;
  return (is_group_report || is_discovery) && is_kernel_socket(sk);
}

static __always_inline bool read_ports(struct __sk_buff *skb, const struct ip_facts *ip,
                                       __u16 *ports) {
  return !bpf_skb_load_bytes(skb, ip->transport, ports, 4);
}

/* What a packet says besides where it goes. */
struct packet_facts {
  __u16 source_port;
  bool is_v6;
  __u8 icmp6_type; /* 0: it is no ICMPv6 */
};

/* Where the packet goes. False: it is no IP packet that can be read. */
static __always_inline bool read_flow(struct __sk_buff *skb, struct flow *flow,
                                      struct packet_facts *facts) {
  struct ip_facts ip = {};
  if (!read_ip(skb, &ip)) return false;
  facts->is_v6 = ip.is_v6;
  if (ip.is_v6) {
    __builtin_memcpy(flow->ip, ip.destination, sizeof(flow->ip));
  } else {
    flow->ip[2] = bpf_htonl(0xffff);
    flow->ip[3] = ip.destination[0];
  }
  flow->proto = ip.protocol == IPPROTO_ICMPV6 ? IPPROTO_ICMP : ip.protocol;
  if (!ip.is_fragment && ip.protocol == IPPROTO_ICMPV6) {
    bpf_skb_load_bytes(skb, ip.transport, &facts->icmp6_type, 1);
  }
  if (ip.is_fragment || (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP)) return true;
  __u16 ports[2];
  if (!read_ports(skb, &ip, ports)) return true;
  facts->source_port = bpf_ntohs(ports[0]);
  flow->port = bpf_ntohs(ports[1]);
  flow->has_ports = true;
  return true;
}

/* Without a note: straight to the traffic of the destination. */
static __always_inline void count_packet(const struct flow *flow, __u32 bytes, bool is_denied) {
  struct cicd_flow_key key = {.slot = flow->slot, .port = flow->port, .proto = flow->proto};
  __builtin_memcpy(key.ip, flow->ip, sizeof(key.ip));
  struct cicd_flow *traffic = flow_entry(&key);
  if (!traffic) return;
  if (is_denied) {
    __sync_fetch_and_add(&traffic->blocked_bytes, bytes);
    __sync_fetch_and_add(&traffic->blocked_packets, 1);
  } else {
    __sync_fetch_and_add(&traffic->sent_bytes, bytes);
    __sync_fetch_and_add(&traffic->sent_packets, 1);
  }
}

/*
 * To our resolver: turned there by connect or sendmsg, led there by nftables (a raw socket), or by
 * the job's own will.
 */
static __always_inline bool is_to_resolver(const struct flow *flow,
                                           const struct cicd_egress_policy *policy) {
  return policy->resolver_port && flow->port == policy->resolver_port && flow->has_ports &&
         is_loopback(flow->ip);
}

/*
 * Tells the resolver whose the question is, before it arrives there. Every packet of a job to it is
 * noted: a note that another job left for this port must not speak for it.
 */
static __always_inline void note_client(struct bpf_sock *sk, const struct cicd_socket_owner *owner,
                                        const struct flow *flow, const struct packet_facts *facts) {
  struct sock___netns *sock = kernel_address(sk);
  struct cicd_dns_client_key key = {.netns = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum),
                                    .port = facts->source_port,
                                    .proto = flow->proto,
                                    .is_v6 = facts->is_v6};
  struct cicd_dns_client client = {.slot = flow->slot, .step = flow->step};
  if (owner) {
    client.start_time_ns = owner->who.start_time_ns;
    client.cgroup_id = owner->who.cgroup_id;
    client.pid = owner->who.pid;
    client.exec_id = owner->who.exec_id;
  }
  bpf_map_update_elem(&dns_clients, &key, &client, BPF_ANY);
}

static __always_inline int judge_packet(struct __sk_buff *skb, struct bpf_sock *sk,
                                        struct cicd_socket_owner *owner, struct flow *flow,
                                        const struct cicd_egress_policy *policy) {
  struct judgement verdict = {};
  judge(flow, policy, &verdict);
  bool is_denied = verdict.blocking != 0;
  if (owner && !is_denied && flow->has_ports && !flow->is_raw) {
    set_flow(owner, flow);
    owner->generation = policy->generation;
    count_sent(owner, skb->len);
  } else {
    count_packet(flow, skb->len, is_denied);
  }
  if (!verdict.failing) return ALLOW;
  struct attempt attempt = {.cookie = bpf_get_socket_cookie(skb),
                            .bytes = skb->len,
                            .socket_type = sk ? sk->type : 0,
                            .hook = CICD_EGRESS_PACKET};
  struct cicd_actor nobody = {.slot = flow->slot, .cgroup_id = bpf_skb_cgroup_id(skb)};
  attempt.who = owner ? &owner->who : &nobody;
  tell(flow, &verdict, &attempt);
  return is_denied ? DENY : ALLOW;
}

/* A connection from before the job keeps its peer, and without a policy there is nothing to check.
 */
static __always_inline bool is_unchecked(const struct cicd_socket_owner *owner,
                                         const struct cicd_egress_policy *policy) {
  return owner->flags & CICD_SOCKET_BEFORE || !policy->watching;
}

/* What packet_sent (packet.bpf.c) does not let pass at a glance. */
int judge_sent(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  if (sk) sk = bpf_sk_fullsock(sk);
  struct cicd_socket_owner *owner = sk ? bpf_sk_storage_get(&socket_owners, sk, 0, 0) : 0;
  __u32 slot = owner ? owner->who.slot : 0;
  struct cicd_egress_policy *policy = slot ? policy_of(slot) : 0;
  if (!policy || !is_note_valid(owner, policy)) {
    owner = 0;
    slot = slot_of_cgroup(bpf_skb_cgroup_id(skb));
    policy = slot ? policy_of(slot) : 0;
    if (!policy) return ALLOW;
  }
  bool is_passed =
      owner && (owner->generation == policy->generation || owner->flags & CICD_SOCKET_BEFORE);
  bool is_redirect = owner && owner->flags & CICD_SOCKET_REDIRECTED;
  if (owner && sk->type == SOCK_STREAM && !is_redirect && is_unchecked(owner, policy)) {
    count_sent(owner, skb->len);
    return ALLOW;
  }
  struct flow flow = {.slot = slot, .step = owner ? owner->step : 0};
  flow.is_raw = sk && sk->type == SOCK_RAW;
  struct packet_facts facts = {};
  bool is_ip = read_flow(skb, &flow, &facts);
  if (sk && is_to_resolver(&flow, policy)) {
    note_client(sk, owner, &flow, &facts);
    if (is_redirect) {
      count_sent(owner, skb->len);
    } else {
      count_packet(&flow, skb->len, false);
    }
    return ALLOW;
  }
  if (owner && is_passed && !is_redirect && is_same_flow(owner, &flow)) {
    count_sent(owner, skb->len);
    return ALLOW;
  }
  if (!policy->watching || (!owner && flow.is_raw && is_link_talk(facts.icmp6_type, sk))) {
    if (is_ip) count_packet(&flow, skb->len, false);
    return ALLOW;
  }
  return judge_packet(skb, sk, owner, &flow, policy);
}

/* Raw sockets have no destination of their own; who made them is noted here, and where their
 * questions are to be led. */
SEC("cgroup/sock_create")
int socket_made(struct bpf_sock *sk) {
  if (sk->type != SOCK_RAW && (sk->protocol == IPPROTO_TCP || sk->protocol == IPPROTO_UDP)) {
    return ALLOW;
  }
  struct task_struct *task = (void *)bpf_get_current_task();
  __u32 slot = slot_of_cgroup(cgroup_id_of(task));
  if (!slot) slot = slot_of_escaped(BPF_CORE_READ(task, tgid));
  struct cicd_egress_policy *policy = slot ? policy_of(slot) : 0;
  if (!policy) return ALLOW;
  struct cicd_socket_owner *owner =
      bpf_sk_storage_get(&socket_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!owner) {
    count_total(slot, CICD_TOTAL_SOCKET_FULL, 1);
    return ALLOW;
  }
  owner->who = actor_of_task(task, slot);
  owner->epoch = policy->epoch;
  owner->step = policy->has_steps ? step_of_member(owner->who.pid, slot) : 0;
  if (sk->type == SOCK_RAW && policy->resolver_port) {
    __u32 netns = netns_of(task);
    __u32 state = netns_state(netns);
    if (state == CICD_NETNS_SERVED) ask_for_table(slot, task, netns);
    if (state == CICD_NETNS_SERVED || state == CICD_NETNS_LED) sk->mark = CICD_RAW_SOCKET_MARK;
  }
  return ALLOW;
}

SEC("cgroup/sock_release")
int socket_closed(struct bpf_sock *sk) {
  struct cicd_socket_owner *owner = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
  if (!owner) return ALLOW;
  owner->flags |= CICD_SOCKET_RELEASED;
  struct cicd_egress_policy *policy = policy_of(owner->who.slot);
  if (policy && is_note_valid(owner, policy)) add_traffic(owner);
  return ALLOW;
}
