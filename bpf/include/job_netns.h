/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The network namespaces that a job's processes are in. Questions for names are turned to our
 * resolver where it listens; a namespace that a job comes to is told to userspace, once, which
 * makes the resolver's sockets there. Told as early as we see it: where namespaces are made or
 * entered (namespace.bpf.c), at every exec (process.bpf.c), at last by the first question
 * (network.bpf.c).
 *
 *   egress_policies  by slot                               W user          R all of the network
 *   egress_totals    counters, exact whatever is told      W kernel        R user
 *   resolver_nets    namespaces by inode number            W both          R here, connect, sendmsg
 *   netns_ring       what userspace is asked               W kernel        R user
 *
 * Trap: numbers of namespaces that are gone are used again at once. An entry that says SERVED is
 * safe, since the resolver's sockets hold the namespace; userspace takes ASKED out when it is done.
 */
#ifndef CICD_JOB_NETNS_H
#define CICD_JOB_NETNS_H

#include "maps.h"

#include <bpf/bpf_core_read.h>

#define CICD_EEXIST 17

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common___netns {
  unsigned int inum;
};
struct net___netns {
  struct ns_common___netns ns;
};
struct nsproxy___netns {
  struct net___netns *net_ns;
};
struct task_struct___netns {
  struct nsproxy___netns *nsproxy;
};
#pragma clang attribute pop

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, CICD_SLOTS_DEFAULT);
  __type(key, __u32);
  __type(value, struct cicd_egress_policy);
} egress_policies SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CICD_SLOTS_DEFAULT *CICD_TOTALS_STRIDE);
  __type(key, __u32);
  __type(value, __u64);
} egress_totals SEC(".maps") __weak;

/* Inode number of a network namespace -> enum cicd_netns_state. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, __u32);
  __type(value, __u32);
} resolver_nets SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, CICD_NETNS_RING_BYTES);
} netns_ring SEC(".maps") __weak;

static __always_inline void count_total(__u32 slot, __u32 which, __u64 count) {
  __u32 index = slot * CICD_TOTALS_STRIDE + which;
  __u64 *total = bpf_map_lookup_elem(&egress_totals, &index);
  if (total) __sync_fetch_and_add(total, count);
}

/* Null: there is no job in this slot. */
static __always_inline struct cicd_egress_policy *policy_of(__u32 slot) {
  struct cicd_egress_policy *policy = bpf_map_lookup_elem(&egress_policies, &slot);
  return policy && policy->epoch ? policy : 0;
}

static __always_inline __u32 netns_of(void *task_struct) {
  struct task_struct___netns *task = task_struct;
  return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

/* enum cicd_netns_state; 0: nobody has asked yet. */
static __always_inline __u32 netns_state(__u32 netns) {
  __u32 *state = bpf_map_lookup_elem(&resolver_nets, &netns);
  return state ? *state : 0;
}

static __always_inline bool is_served(__u32 netns) {
  __u32 state = netns_state(netns);
  return state == CICD_NETNS_SERVED || state == CICD_NETNS_OWN || state == CICD_NETNS_LED;
}

/* False: there was no room, which is counted. */
static __always_inline bool send_ask(__u32 slot, void *task, __u32 netns, bool wants_table) {
  struct cicd_netns_ask *ask = bpf_ringbuf_reserve(&netns_ring, sizeof(*ask), 0);
  if (!ask) {
    count_total(slot, CICD_TOTAL_NETNS_FULL, 1);
    return false;
  }
  ask->netns = netns;
  ask->slot = slot;
  ask->tid = BPF_CORE_READ((struct task_struct *)task, pid);
  ask->wants_table = wants_table;
  bpf_ringbuf_submit(ask, BPF_RB_FORCE_WAKEUP);
  return true;
}

/* Asks userspace to lead what raw sockets ask, in a namespace that is served: at the first. */
static __always_inline void ask_for_table(__u32 slot, void *task, __u32 netns) {
  __u32 state = CICD_NETNS_LED;
  if (bpf_map_update_elem(&resolver_nets, &netns, &state, BPF_EXIST)) return;
  if (send_ask(slot, task, netns, true)) return;
  state = CICD_NETNS_SERVED; /* the next one asks again */
  bpf_map_update_elem(&resolver_nets, &netns, &state, BPF_EXIST);
}

/* Asks userspace to have the resolver listen where the task is; nothing to do when it does. */
static __always_inline void ask_for_resolver(__u32 slot, void *task) {
  struct cicd_egress_policy *policy = policy_of(slot);
  if (!policy || !policy->resolver_port) return;
  __u32 netns = netns_of(task);
  if (!netns || bpf_map_lookup_elem(&resolver_nets, &netns)) return;
  __u32 asked = CICD_NETNS_ASKED;
  long error = bpf_map_update_elem(&resolver_nets, &netns, &asked, BPF_NOEXIST);
  if (error == -CICD_EEXIST) return; /* by another CPU, just now */
  if (error) {
    count_total(slot, CICD_TOTAL_NETNS_FULL, 1);
    return;
  }
  /* Else the next exec or question asks again. */
  if (!send_ask(slot, task, netns, false)) bpf_map_delete_elem(&resolver_nets, &netns);
}

#endif
