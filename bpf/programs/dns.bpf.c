// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// DNS packets of jobs: what they send to port 53, and what comes from there (packet.bpf.c).
//
// A packet belongs to the job of the cgroup its socket was made in. A socket that came from outside
// (passed in, or of a process that left the job) has an owner instead, from its connect or sendmsg.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "packet.h"
#include "packet_watch.h"
#include "socket_owner.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_SYN 0x02
#define UDP_HEADER 8
#define SOCK_RAW 3

_Static_assert((CICD_DNS_PAYLOAD_MAX & (CICD_DNS_PAYLOAD_MAX - 1)) == 0, "it serves as a mask");

struct tcp_header {
  __u16 source;
  __u16 destination;
  __u32 sequence;
  __u32 acknowledged;
  __u8 offset;
  __u8 flags;
  __u16 window;
};
struct udp_header {
  __u16 source;
  __u16 destination;
  __u16 length;
  __u16 checksum;
};

/* What is known of a packet before its payload is copied. */
struct packet {
  __u32 remote_ip[4];
  __u32 transport; /* offset of the TCP or UDP header */
  __u32 payload;   /* offset */
  __u32 payload_bytes;
  __u32 sequence;
  __u16 remote_port;
  __u16 local_port;
  __u16 family;
  __u16 protocol;
  __u16 dns_port; /* where DNS is at the other end */
  __u16 led_port; /* and where nftables may have led it; 0: nowhere else */
  bool is_ingress;
};

/*
 * Egress runs in processes and in softirq on the same CPU, each able to interrupt the other, so
 * one buffer per CPU is not enough. A program takes a free one and marks it with a number of its
 * own; should another have taken the same in that very moment, the number tells, and the sample is
 * counted as lost.
 */
#define SCRATCH_COUNT 3
struct dns_scratch {
  __u32 taken_by; /* 0: free */
  __u32 pad0;
  struct cicd_sample_dns sample;
  __u8 payload[CICD_DNS_PAYLOAD_MAX];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SCRATCH_COUNT);
  __type(key, __u32);
  __type(value, struct dns_scratch);
} dns_scratch SEC(".maps");

static __always_inline bool read_network(struct __sk_buff *skb, struct packet *packet) {
  struct ip_facts ip = {};
  if (!read_ip(skb, &ip) || ip.is_fragment) return false;
  packet->family = ip.is_v6 ? AF_INET6 : AF_INET;
  packet->protocol = ip.protocol;
  packet->transport = ip.transport;
  __builtin_memcpy(packet->remote_ip, packet->is_ingress ? ip.source : ip.destination,
                   sizeof(packet->remote_ip));
  return true;
}

static __always_inline bool is_dns(struct packet *packet, __u16 source, __u16 destination) {
  packet->remote_port = bpf_ntohs(packet->is_ingress ? source : destination);
  packet->local_port = bpf_ntohs(packet->is_ingress ? destination : source);
  return packet->remote_port == packet->dns_port ||
         (packet->led_port && packet->remote_port == packet->led_port);
}

static __always_inline bool read_udp(struct __sk_buff *skb, struct packet *packet) {
  struct udp_header udp;
  if (bpf_skb_load_bytes(skb, packet->transport, &udp, sizeof(udp))) return false;
  if (!is_dns(packet, udp.source, udp.destination)) return false;
  packet->payload = packet->transport + UDP_HEADER;
  if (skb->len <= packet->payload) return false;
  packet->payload_bytes = skb->len - packet->payload;
  /* Several datagrams in one (UDP_SEGMENT). */
  packet->sequence = skb->gso_size;
  return true;
}

static __always_inline bool read_tcp(struct __sk_buff *skb, struct packet *packet) {
  struct tcp_header tcp;
  if (bpf_skb_load_bytes(skb, packet->transport, &tcp, sizeof(tcp))) return false;
  if (!is_dns(packet, tcp.source, tcp.destination)) return false;
  packet->payload = packet->transport + (tcp.offset >> 4) * 4;
  if (skb->len <= packet->payload) return false;
  packet->payload_bytes = skb->len - packet->payload;
  packet->sequence = bpf_ntohl(tcp.sequence) + (tcp.flags & TCP_SYN ? 1 : 0);
  return true;
}

/* False: no DNS, or nothing in it. */
static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *packet) {
  if (!read_network(skb, packet)) return false;
  if (packet->protocol == IPPROTO_UDP) return read_udp(skb, packet);
  if (packet->protocol == IPPROTO_TCP) return read_tcp(skb, packet);
  return false;
}

static __always_inline struct dns_scratch *take_scratch(__u32 mark) {
#pragma unroll
  for (__u32 i = 0; i < SCRATCH_COUNT; ++i) {
    __u32 index = i;
    struct dns_scratch *scratch = bpf_map_lookup_elem(&dns_scratch, &index);
    if (!scratch || *(volatile __u32 *)&scratch->taken_by) continue;
    *(volatile __u32 *)&scratch->taken_by = mark;
    return scratch;
  }
  return 0;
}

/* As the job sees it: a question that was turned to our resolver goes to where it was sent. */
static __always_inline void fill_remote(struct cicd_sample_dns *sample, const struct packet *packet,
                                        const struct cicd_socket_owner *redirected) {
  if (!redirected) {
    __builtin_memcpy(sample->remote_ip, packet->remote_ip, sizeof(sample->remote_ip));
    sample->remote_port = packet->remote_port;
    sample->family = packet->family;
    return;
  }
  const __u32 *ip = (const __u32 *)redirected->ip;
  bool is_v4 = !ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff);
  __builtin_memset(sample->remote_ip, 0, sizeof(sample->remote_ip));
  if (is_v4) {
    __builtin_memcpy(sample->remote_ip, &ip[3], 4);
  } else {
    __builtin_memcpy(sample->remote_ip, ip, sizeof(sample->remote_ip));
  }
  sample->remote_port = redirected->port;
  sample->family = is_v4 ? AF_INET : AF_INET6;
  sample->header.flags |= CICD_DNS_RESOLVER;
}

static __always_inline void emit_dns(struct __sk_buff *skb, const struct packet *packet,
                                     const struct cicd_actor *owner,
                                     const struct cicd_socket_owner *redirected) {
  __u32 mark = bpf_get_prandom_u32() | 1;
  struct dns_scratch *scratch = take_scratch(mark);
  if (!scratch) {
    count_loss(owner->slot, CICD_LOSS_SCRATCH);
    return;
  }
  __u64 bytes = packet->payload_bytes;
  if (bytes > CICD_DNS_PAYLOAD_MAX) bytes = CICD_DNS_PAYLOAD_MAX;
  struct cicd_sample_dns *sample = &scratch->sample;
  /* There is at least one (read_packet). Told to the verifier by a mask, on one register: a
   * comparison it forgets on older kernels. The compiler must not see that nothing changes. */
  bytes -= 1;
  asm volatile("" : "+r"(bytes));
  bytes = (bytes & (CICD_DNS_PAYLOAD_MAX - 1)) + 1;
  bool is_read = !bpf_skb_load_bytes(skb, packet->payload, scratch->payload, bytes);
  __u16 flags = packet->is_ingress ? CICD_DNS_INGRESS : 0;
  if (!owner->pid) flags |= CICD_DNS_UNKNOWN_OWNER;
  fill_header_of_actor(&sample->header, CICD_SAMPLE_DNS, flags, sizeof(*sample) + bytes, owner);
  sample->socket_cookie = bpf_get_socket_cookie(skb);
  fill_remote(sample, packet, redirected);
  sample->local_port = packet->local_port;
  sample->protocol = packet->protocol;
  sample->tcp_sequence = packet->sequence;
  sample->payload_bytes = packet->payload_bytes;
  sample->payload.length = bytes;
  sample->payload.flags = packet->payload_bytes > bytes ? CICD_STRING_TRUNCATED : 0;
  if (!is_read || *(volatile __u32 *)&scratch->taken_by != mark) {
    count_loss(owner->slot, CICD_LOSS_SCRATCH);
  } else {
    emit_control(sample, sizeof(*sample) + bytes, owner->slot, CICD_SAMPLE_DNS);
  }
  *(volatile __u32 *)&scratch->taken_by = 0;
}

/* A datagram leaves in the context of who sends it; he is the owner from now on. */
static __always_inline bool owner_from_current(struct cicd_actor *owner, __u32 slot) {
  struct task_struct *task = (void *)bpf_get_current_task();
  __u32 here = slot_of_cgroup(cgroup_id_of(task));
  if (!here) here = slot_of_escaped(BPF_CORE_READ(task, tgid));
  if (here != slot) return false;
  *owner = actor_of_task(task, slot);
  return true;
}

/* The slot in an owner is of use only while the process is one of that job. */
static __always_inline __u32 slot_of_owner(const struct cicd_actor *owner) {
  __u32 pid = owner->pid;
  struct cicd_member *member = bpf_map_lookup_elem(&members, &pid);
  return member && member->slot == owner->slot ? owner->slot : 0;
}

/* 0: no job has a resolver. */
static __always_inline __u16 resolver_port(void) {
  struct cicd_shared *memory = shared_memory();
  return memory ? memory->resolver_port : 0;
}

/* Where this socket's questions go; 0: TCP to somewhere else, as most packets there are. A UDP
 * socket, connected or not, may send anywhere. */
static __always_inline __u16 dns_port_of(struct __sk_buff *skb, struct bpf_sock *sk,
                                         const struct cicd_socket_owner *kept) {
  __u32 ours = resolver_port();
  bool is_redirected = ours && kept && kept->flags & CICD_SOCKET_REDIRECTED;
  __u32 port = is_redirected ? ours : CICD_DNS_PORT;
  if (sk->protocol == IPPROTO_TCP && bpf_ntohl(skb->remote_port) != port) return 0;
  return port;
}

static __always_inline void on_packet(struct __sk_buff *skb, bool is_ingress) {
  struct bpf_sock *sk = skb->sk;
  if (sk) sk = bpf_sk_fullsock(sk);
  if (!sk) return;
  __u32 slot = slot_of_cgroup(bpf_skb_cgroup_id(skb));
  struct cicd_socket_owner *kept = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
  if (!slot && kept) slot = slot_of_owner(&kept->who);
  if (!slot) return;

  struct packet packet = {.is_ingress = is_ingress, .dns_port = dns_port_of(skb, sk, kept)};
  if (!is_ingress && sk->type == SOCK_RAW) packet.led_port = resolver_port();
  if (!packet.dns_port || !read_packet(skb, &packet)) return;
  struct cicd_actor owner = {.slot = slot};
  if (!is_ingress && (packet.protocol == IPPROTO_UDP || !kept) &&
      owner_from_current(&owner, slot)) {
    if (!kept) kept = bpf_sk_storage_get(&socket_owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (kept) kept->who = owner;
  } else if (kept && kept->who.slot == slot) {
    owner = kept->who;
  }
  bool is_redirected = kept && kept->flags & CICD_SOCKET_REDIRECTED;
  emit_dns(skb, &packet, &owner, is_redirected ? kept : 0);
}

int watch_dns_sent(struct __sk_buff *skb) {
  on_packet(skb, false);
  return 0;
}

int watch_dns_received(struct __sk_buff *skb) {
  on_packet(skb, true);
  return 0;
}
