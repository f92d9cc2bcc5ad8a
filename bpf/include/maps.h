/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map that more than one file of programs uses. They are weak: each file defines them, and
 * the linker makes one of each. Maps of one file only (scratch, sk_storage) stand in that file;
 * those in a header that each file is to have for itself are named with CICD_OWN.
 *
 *   control_ring     samples of processes, cgroups, network     W kernel        R consumer
 *   bulk_ring        samples of opens                           W kernel        R consumer
 *   tracked_cgroups  v2 cgroup id -> job slot                   W user: root of a job; kernel:
 *                    mkdir below it. R every hook. Entries of removed cgroups stay until the job's
 *                    end (ids can still be in flight); user deletes them (untrack_slot).
 *   members          tgid -> slot and last cgroup of a job's processes. W fork, exec, attach, exit
 *                    and user (processes there before). R attach (has it left the job?), exit.
 *   escaped          tgid -> slot of processes outside their job's cgroups. W attach, fork, exit.
 *                    R every hook, only while shared.escaped is not zero.
 *   staged_names     names of cgroups to come. W user. R mkdir, only while shared.staged is not
 *                    zero.
 *   made_names       cgroups with the name of a container that were made and are nobody's, the
 *                    last of them, also when they are gone. W mkdir. R user, when it stages one
 *                    that may have been made meanwhile.
 *   build_parents    v2 cgroup id -> job slot, whose steps of docker build are made in it (with
 *                    CICD_BUILDS_AMONG_OTHERS). W user. R mkdir.
 *   wanted_vars      names of variables that exec tells (environment.h). W user. R exec.
 *   loss             counters, per CPU (wire/loss.h). W kernel. R user.
 *   shared           one struct (wire/shared.h), mapped into the consumer. W both. R both.
 *   socket_owners    who uses a socket (socket_owner.h), goes with the socket. W connect, sendmsg,
 *                    egress. R packet hooks, which mostly run for nobody.
 *
 * Sizes given here are the defaults; the loader sets those of the rings and of `loss`.
 */
#ifndef CICD_MAPS_H
#define CICD_MAPS_H

#include "kernel_types.h"

#include <bpf/bpf_helpers.h>

#include "wire/egress.h"
#include "wire/loss.h"
#include "wire/shared.h"

#define CICD_TRACKED_MAX 65536
#define CICD_MEMBERS_MAX 65536
#define CICD_ESCAPED_MAX 8192
#define CICD_STAGED_MAX 8192
#define CICD_MADE_MAX 4096
#define CICD_BUILD_PARENTS_MAX 8

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} control_ring SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} bulk_ring SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, CICD_TRACKED_MAX);
  __type(key, __u64);
  __type(value, __u32);
} tracked_cgroups SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, CICD_MEMBERS_MAX);
  __type(key, __u32);
  __type(value, struct cicd_member);
} members SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, CICD_ESCAPED_MAX);
  __type(key, __u32);
  __type(value, __u32);
} escaped SEC(".maps") __weak;

/* Names of cgroups that will be made for a job's containers. Written by the user side. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, CICD_STAGED_MAX);
  __type(key, struct cicd_basename);
  __type(value, __u32);
} staged_names SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CICD_MADE_MAX);
  __type(key, struct cicd_basename);
  __type(value, struct cicd_made);
} made_names SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, CICD_BUILD_PARENTS_MAX);
  __type(key, __u64);
  __type(value, __u32);
} build_parents SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CICD_SLOTS_DEFAULT *CICD_LOSS_STRIDE);
  __type(key, __u32);
  __type(value, __u64);
} loss SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct cicd_shared);
} shared SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct cicd_socket_owner);
} socket_owners SEC(".maps") __weak;

static __always_inline struct cicd_shared *shared_memory(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&shared, &zero);
}

static __always_inline void count_loss(__u32 slot, __u32 reason) {
  __u32 index = slot * CICD_LOSS_STRIDE + reason;
  __u64 *count = bpf_map_lookup_elem(&loss, &index);
  if (count) __sync_fetch_and_add(count, 1);
}

#endif
