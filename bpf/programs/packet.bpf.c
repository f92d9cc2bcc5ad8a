// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every packet of the machine on its way out and in: one program for each way, since it is the
// number of programs that a packet pays for most. At the root of the v2 hierarchy.
//
// Most packets are of a socket whose destination was let pass when it was connected; its note says
// so, and they are counted and go. What is left is for functions of other files: what has no such
// note (egress.bpf.c), DNS (dns.bpf.c) and HTTP (http.bpf.c). The latter two only look.
#define CICD_NO_TYPED_TASK
#include "kernel_types.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "http_method.h"
#include "packet.h"
#include "packet_watch.h"
#include "socket_owner.h"
#include "track.h"
#include "traffic.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ALLOW 1
#define DENY 0
#define AF_INET6 10
#define IPPROTO_TCP 6
#define LOOPBACK_INDEX 1 /* of that interface, in each namespace */
#define TCP_HEADER_BYTES 20

/*
 * To where its socket was let send to; by what lies in the packet, without a copy of it. Not for
 * datagrams only: rules of a job that may change the packet filter of its namespace (DNAT) lead a
 * connection elsewhere. The port tells most; the address is compared last.
 */
static __always_inline bool is_to_passed(struct __sk_buff *skb, const struct peeked *peeked,
                                         const struct cicd_socket_owner *owner) {
  if (peeked->destination != owner->port || peeked->protocol != owner->proto) return false;
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  const __u32 *ip = (const __u32 *)owner->ip;
  if (peeked->transport == sizeof(struct ip4_header)) {
    struct ip4_header *ip4 = data;
    return data + sizeof(*ip4) <= end && is_mapped(ip) && ip[3] == ip4->destination;
  }
  struct ip6_header *ip6 = data;
  if (data + sizeof(*ip6) > end) return false;
  return ip[3] == ip6->destination[3] && ip[2] == ip6->destination[2] &&
         ip[1] == ip6->destination[1] && ip[0] == ip6->destination[0];
}

/* Nothing to judge: it goes where its socket may send to, or is nobody's of a job. */
static __always_inline bool may_go(struct __sk_buff *skb, const struct peeked *peeked) {
  struct bpf_sock *sk = skb->sk;
  struct cicd_socket_owner *owner = sk ? bpf_sk_storage_get(&socket_owners, sk, 0, 0) : 0;
  struct cicd_egress_policy *policy = owner && owner->who.slot ? policy_of(owner->who.slot) : 0;
  if (!policy || !is_note_valid(owner, policy)) return !slot_of_cgroup(bpf_skb_cgroup_id(skb));
  /* Whose question it is has to be noted, also of one that nobody turned there. */
  if (owner->flags & CICD_SOCKET_REDIRECTED || peeked->destination == policy->resolver_port) {
    return false;
  }
  if (owner->generation != policy->generation && !(owner->flags & CICD_SOCKET_BEFORE)) return false;
  if (!is_to_passed(skb, peeked, owner)) return false;
  count_sent(owner, skb->len);
  return true;
}

static __always_inline bool is_dns_port(__u16 port, const struct cicd_shared *memory) {
  return port == CICD_DNS_PORT || (memory && memory->resolver_port == port);
}

/* Whether the payload of a TCP segment begins as a request does. */
static __always_inline bool begins_request(struct __sk_buff *skb, __u32 transport) {
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  __u8 *tcp = data + (transport & 63);
  if ((void *)tcp + TCP_HEADER_BYTES > end) return true;
  __u32 payload = transport + (tcp[12] >> 4) * 4;
  if (skb->len < payload + CICD_HTTP_SHORTEST) return false;
  char first[CICD_HTTP_METHOD_BYTES];
  if (bpf_skb_load_bytes(skb, payload, first, sizeof(first))) return false;
  return http_method_length(first) != 0;
}

/*
 * An answer of the resolver in a job's namespace that is about to leave it: whoever asked with a
 * raw socket gave an address outside as his own, and the answer would carry the question there. By
 * the socket, since rules of the namespace may have changed the packet.
 */
static __always_inline bool is_stray_answer(struct __sk_buff *skb,
                                            const struct cicd_shared *memory) {
  struct bpf_sock *sk = skb->sk;
  if (skb->ifindex == LOOPBACK_INDEX || !sk || !memory->resolver_port) return false;
  if (sk->src_port != memory->resolver_port) return false;
  if (sk->family != AF_INET6) {
    return (sk->src_ip4 & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  }
  return !sk->src_ip6[0] && !sk->src_ip6[1] && !sk->src_ip6[2] && sk->src_ip6[3] == bpf_htonl(1);
}

/* What a policy does not let out. */
static __always_inline bool is_denied(struct __sk_buff *skb, const struct peeked *peeked,
                                      const struct cicd_shared *memory) {
  if (!memory || !memory->is_egress_on) return false;
  return is_stray_answer(skb, memory) || (!may_go(skb, peeked) && !judge_sent(skb));
}

SEC("cgroup_skb/egress")
int packet_sent(struct __sk_buff *skb) {
  struct peeked peeked = {};
  peek_packet(skb, &peeked);
  struct cicd_shared *memory = shared_memory();
  int verdict = is_denied(skb, &peeked, memory) ? DENY : ALLOW;
  if (!peeked.protocol) {
    watch_dns_sent(skb);
    watch_http_sent(skb);
    return verdict;
  }
  if (is_dns_port(peeked.destination, memory)) watch_dns_sent(skb);
  if (peeked.protocol == IPPROTO_TCP && begins_request(skb, peeked.transport)) {
    watch_http_sent(skb);
  }
  return verdict;
}

SEC("cgroup_skb/ingress")
int packet_received(struct __sk_buff *skb) {
  struct peeked peeked = {};
  peek_packet(skb, &peeked);
  struct cicd_shared *memory = shared_memory();
  if (!peeked.protocol || is_dns_port(peeked.source, memory)) watch_dns_received(skb);
  if (!memory || !memory->is_egress_on) return ALLOW;
  struct bpf_sock *sk = skb->sk;
  struct cicd_socket_owner *owner = sk ? bpf_sk_storage_get(&socket_owners, sk, 0, 0) : 0;
  if (!owner || !owner->epoch) return ALLOW;
  __sync_fetch_and_add(&owner->received_bytes, skb->len);
  __sync_fetch_and_add(&owner->received_packets, 1);
  if (owner->received_packets >= CICD_FLOW_PACKETS) add_traffic(owner);
  return ALLOW;
}
