/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What goes over the sockets of jobs: counted in the note at the socket, and added up by
 * destination now and then and at its end.
 *
 *   egress_flows     traffic by destination                     W kernel R user
 */
#ifndef CICD_TRAFFIC_H
#define CICD_TRAFFIC_H

#include <bpf/bpf_endian.h>

#include "emit.h"
#include "job_netns.h"

/* A socket's traffic is added up after so many packets, so that it is there while it goes on. */
#define CICD_FLOW_PACKETS 512

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct cicd_flow_key);
  __type(value, struct cicd_flow);
} egress_flows SEC(".maps") __weak;

static __always_inline bool is_mapped(const __u32 *ip) {
  return !ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff);
}

static __always_inline struct cicd_flow *flow_entry(const struct cicd_flow_key *key) {
  struct cicd_flow *known = bpf_map_lookup_elem(&egress_flows, key);
  if (known) return known;
  struct cicd_flow fresh = {};
  bpf_map_update_elem(&egress_flows, key, &fresh, BPF_NOEXIST);
  known = bpf_map_lookup_elem(&egress_flows, key);
  if (!known) count_total(key->slot, CICD_TOTAL_FLOWS_FULL, 1);
  return known;
}

/* Adds what went over a socket to its destination's traffic. */
static __always_inline void add_traffic(struct cicd_socket_owner *owner) {
  __u64 sent_packets = owner->sent_packets;
  __u64 received_packets = owner->received_packets;
  if (!sent_packets && !received_packets) return;
  struct cicd_flow_key key = {.slot = owner->who.slot, .port = owner->port, .proto = owner->proto};
  __builtin_memcpy(key.ip, owner->ip, sizeof(key.ip));
  struct cicd_flow *flow = flow_entry(&key);
  if (!flow) return;
  __u64 sent_bytes = owner->sent_bytes;
  __u64 received_bytes = owner->received_bytes;
  __sync_fetch_and_add(&owner->sent_packets, -sent_packets);
  __sync_fetch_and_add(&owner->sent_bytes, -sent_bytes);
  __sync_fetch_and_add(&owner->received_packets, -received_packets);
  __sync_fetch_and_add(&owner->received_bytes, -received_bytes);
  __sync_fetch_and_add(&flow->sent_packets, sent_packets);
  __sync_fetch_and_add(&flow->sent_bytes, sent_bytes);
  __sync_fetch_and_add(&flow->received_packets, received_packets);
  __sync_fetch_and_add(&flow->received_bytes, received_bytes);
}

/* The note is of the job that has the slot now. */
static __always_inline bool is_note_valid(const struct cicd_socket_owner *owner,
                                          const struct cicd_egress_policy *policy) {
  return owner->epoch == policy->epoch;
}

static __always_inline void count_sent(struct cicd_socket_owner *owner, __u32 bytes) {
  __sync_fetch_and_add(&owner->sent_bytes, bytes);
  __sync_fetch_and_add(&owner->sent_packets, 1);
  if (owner->flags & CICD_SOCKET_RELEASED || owner->sent_packets >= CICD_FLOW_PACKETS) {
    add_traffic(owner);
  }
}

#endif
