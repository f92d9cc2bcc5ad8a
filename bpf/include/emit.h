/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples on their way out: the header, and the two rings. A sample wakes the consumer only when
 * it asked for that (wire/shared.h): a wake-up costs more than the sample itself.
 */
#ifndef CICD_EMIT_H
#define CICD_EMIT_H

#include "current.h"
#include "maps.h"

#include <bpf/bpf_core_read.h>

static __always_inline __u64 cgroup_id_of(struct task_struct *task) {
  return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline void fill_header(struct cicd_sample_header *header, __u16 type, __u16 flags,
                                        __u32 size, __u32 slot, struct task_struct *task) {
  header->size = size;
  header->type = type;
  header->flags = flags;
  header->time_ns = bpf_ktime_get_boot_ns();
  header->start_time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  header->cgroup_id = cgroup_id_of(task);
  header->slot = slot;
  header->pid = BPF_CORE_READ(task, tgid);
  header->tid = BPF_CORE_READ(task, pid);
  header->exec_id = BPF_CORE_READ(task, self_exec_id);
}

/* The same for the task that runs: helpers and typed pointers answer nearly all of it. */
static __always_inline void fill_header_of_current(struct cicd_sample_header *header, __u16 type,
                                                   __u16 flags, __u32 size, __u32 slot,
                                                   struct task_struct *current) {
  __u64 ids = bpf_get_current_pid_tgid();
  header->size = size;
  header->type = type;
  header->flags = flags;
  header->time_ns = bpf_ktime_get_boot_ns();
  header->start_time_ns = OF_CURRENT(current, group_leader, start_boottime);
  header->cgroup_id = bpf_get_current_cgroup_id();
  header->slot = slot;
  header->pid = ids >> 32;
  header->tid = (__u32)ids;
  header->exec_id = OF_CURRENT(current, self_exec_id);
}

static __always_inline __u64 wake_flags(void *ring, __u64 threshold_bytes,
                                        struct cicd_shared *memory) {
  __u32 consumer = memory->consumer;
  if (consumer == CICD_CONSUMER_AWAKE) return BPF_RB_NO_WAKEUP;
  if (consumer == CICD_CONSUMER_PACED &&
      bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < threshold_bytes) {
    return BPF_RB_NO_WAKEUP;
  }
  memory->consumer = CICD_CONSUMER_AWAKE;
  return BPF_RB_FORCE_WAKEUP;
}

/*
 * How far the control ring may be filled before a sample of this type is refused: the first quarter
 * that is left is for connections and the life of processes, the last eighth for the latter alone.
 * So no flood, of names for instance, displaces what everything else is tied to. In parts of
 * control_wake_bytes, which is a quarter of the ring. 0: to the end.
 */
static __always_inline __u64 control_limit(__u32 type, const struct cicd_shared *memory) {
  if (type <= CICD_SAMPLE_CGROUP_ATTACH) return 0;
  __u64 three_quarters = 3 * memory->control_wake_bytes;
  if (type != CICD_SAMPLE_CONNECT) return three_quarters;
  return three_quarters + memory->control_wake_bytes / 2;
}

static __always_inline void emit_control(void *sample, __u64 size, __u32 slot, __u32 type) {
  struct cicd_shared *memory = shared_memory();
  __u64 flags = BPF_RB_NO_WAKEUP;
  if (memory) {
    __u64 limit = control_limit(type, memory);
    if (limit && bpf_ringbuf_query(&control_ring, BPF_RB_AVAIL_DATA) > limit) {
      count_loss(slot, type);
      return;
    }
    flags = wake_flags(&control_ring, memory->control_wake_bytes, memory);
  }
  if (bpf_ringbuf_output(&control_ring, sample, size, flags)) count_loss(slot, type);
}

/* False: there was no room, which is counted. */
static __always_inline bool emit_bulk(void *sample, __u64 size, __u32 slot, __u32 type) {
  struct cicd_shared *memory = shared_memory();
  __u64 flags = BPF_RB_NO_WAKEUP;
  if (memory) flags = wake_flags(&bulk_ring, memory->bulk_wake_bytes, memory);
  if (!bpf_ringbuf_output(&bulk_ring, sample, size, flags)) return true;
  count_loss(slot, type);
  return false;
}

#endif
