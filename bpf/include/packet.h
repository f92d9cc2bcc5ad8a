/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Headers of packets, as programs at cgroup_skb read them: the packet begins with its IP header.
 * Everything in it is the sender's; a raw socket may write what it likes.
 */
#ifndef CICD_PACKET_H
#define CICD_PACKET_H

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
/* Extension headers of IPv6 that may come before TCP and UDP. */
#define IPPROTO_HOPOPTS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AH 51
#define IPPROTO_DSTOPTS 60
#define MAX_EXTENSIONS 6
#define FRAGMENT_OFFSET4 0x1fff
#define FRAGMENT_OFFSET6 0xfff8

struct ip4_header {
  __u8 version_length;
  __u8 tos;
  __u16 total;
  __u16 id;
  __u16 fragment;
  __u8 ttl;
  __u8 protocol;
  __u16 checksum;
  __u32 source;
  __u32 destination;
};
struct ip6_header {
  __u32 version;
  __u16 payload;
  __u8 next;
  __u8 hops;
  __u32 source[4];
  __u32 destination[4];
};
struct ip6_extension {
  __u8 next;
  __u8 length; /* in 8 bytes, without the first 8; a fragment header has 8 */
  __u16 fragment;
};

/* What an IP header says. */
struct ip_facts {
  __u32 source[4]; /* IPv4 in the first word, the rest zero */
  __u32 destination[4];
  __u32 transport; /* offset of what follows */
  __u8 protocol;
  bool is_v6;
  bool is_fragment; /* not the first: what follows is no header */
};

static __always_inline bool read_ip4(struct __sk_buff *skb, struct ip_facts *facts) {
  struct ip4_header ip;
  if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip))) return false;
  facts->is_fragment = (ip.fragment & bpf_htons(FRAGMENT_OFFSET4)) != 0;
  facts->protocol = ip.protocol;
  facts->transport = (ip.version_length & 0x0f) * 4;
  facts->source[0] = ip.source;
  facts->destination[0] = ip.destination;
  return true;
}

static __always_inline bool read_ip6(struct __sk_buff *skb, struct ip_facts *facts) {
  struct ip6_header ip;
  if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip))) return false;
  __u8 next = ip.next;
  __u32 at = sizeof(ip);
#pragma unroll
  for (int i = 0; i < MAX_EXTENSIONS; ++i) {
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_FRAGMENT &&
        next != IPPROTO_DSTOPTS) {
      break;
    }
    struct ip6_extension extension;
    if (bpf_skb_load_bytes(skb, at, &extension, sizeof(extension))) return false;
    bool is_fragment = next == IPPROTO_FRAGMENT;
    if (is_fragment && extension.fragment & bpf_htons(FRAGMENT_OFFSET6)) facts->is_fragment = true;
    at += is_fragment ? 8 : (extension.length + 1) * 8;
    next = extension.next;
  }
  facts->is_v6 = true;
  facts->protocol = next;
  facts->transport = at;
  __builtin_memcpy(facts->source, ip.source, sizeof(facts->source));
  __builtin_memcpy(facts->destination, ip.destination, sizeof(facts->destination));
  return true;
}

/* False: no IP packet, or one that cannot be read. */
static __always_inline bool read_ip(struct __sk_buff *skb, struct ip_facts *facts) {
  if (skb->protocol == bpf_htons(ETH_P_IP)) return read_ip4(skb, facts);
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) return read_ip6(skb, facts);
  return false;
}

/* What is read of most packets: TCP and UDP without options of IPv4 or extension headers of IPv6.
 */
struct peeked {
  __u16 source; /* ports, in host order */
  __u16 destination;
  __u8 protocol;  /* 0: it is not such a packet, read_ip() has to look */
  __u8 transport; /* offset of its header */
};

/* Where it lies, without a copy. */
static __always_inline void peek_packet(struct __sk_buff *skb, struct peeked *peeked) {
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  __u8 *ip = data;
  if (data + sizeof(struct ip4_header) + 4 > end) return;
  __u8 protocol = 0;
  __u16 *ports = data + sizeof(struct ip4_header);
  if (ip[0] == 0x45) {
    struct ip4_header *ip4 = data;
    if (ip4->fragment & bpf_htons(FRAGMENT_OFFSET4)) return;
    protocol = ip4->protocol;
  } else {
    if (data + sizeof(struct ip6_header) + 4 > end || ip[0] >> 4 != 6) return;
    protocol = ((struct ip6_header *)data)->next;
    ports = data + sizeof(struct ip6_header);
  }
  if (protocol != 17 && protocol != 6) return;
  peeked->source = bpf_ntohs(ports[0]);
  peeked->destination = bpf_ntohs(ports[1]);
  peeked->protocol = protocol;
  peeked->transport = (void *)ports - data;
}

#endif
