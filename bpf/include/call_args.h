/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a probe of a library function keeps between call and return: one entry for each thread.
 * The entry stays after the return, marked as done, so that two things can be told apart: a probe
 * that fires twice for one call (a file attached to by two names) and a return whose call was not
 * seen (counted). The map is LRU: a thread that dies in the middle of a call leaves nothing.
 * One map a file; a call inside of a call of the same file displaces the outer one.
 */
#ifndef CICD_CALL_ARGS_H
#define CICD_CALL_ARGS_H

/* Registers of the user side have the layout of the kernel's ABI, so no CO-RE is needed. */
#include <asm/ptrace.h>

#include "emit.h"
#include "track.h"

#include <bpf/bpf_tracing.h>

#define CICD_CALLS_MAX 8192

struct call_args {
  __u64 first;
  __u64 second;
  __u64 third;
  __u32 is_done;
  __u32 pad0;
};

#define calls CICD_OWN(calls)

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CICD_CALLS_MAX);
  __type(key, __u64);
  __type(value, struct call_args);
} calls SEC(".maps");

static __always_inline void call_begins(__u64 first, __u64 second, __u64 third) {
  __u64 thread = bpf_get_current_pid_tgid();
  struct call_args args = {.first = first, .second = second, .third = third};
  bpf_map_update_elem(&calls, &thread, &args, BPF_ANY);
}

/* False: there is nothing to tell. */
static __always_inline bool call_ends(__u32 slot, __u32 sample_type, struct call_args *out) {
  __u64 thread = bpf_get_current_pid_tgid();
  struct call_args *args = bpf_map_lookup_elem(&calls, &thread);
  if (!args) {
    count_loss(slot, sample_type);
    return false;
  }
  if (args->is_done) return false;
  args->is_done = 1;
  *out = *args;
  return true;
}

#endif
