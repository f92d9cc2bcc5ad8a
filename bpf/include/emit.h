/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples on their way out: the header, and the two rings. A sample wakes the consumer only when
 * it asked for that (wire/shared.h): a wake-up costs more than the sample itself.
 */
#ifndef CICD_EMIT_H
#define CICD_EMIT_H

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

/* The same for the task that runs, without the reads that helpers answer. */
static __always_inline void fill_header_of_current(struct cicd_sample_header *header, __u16 type,
                                                   __u16 flags, __u32 size, __u32 slot,
                                                   struct task_struct *current) {
  __u64 ids = bpf_get_current_pid_tgid();
  header->size = size;
  header->type = type;
  header->flags = flags;
  header->time_ns = bpf_ktime_get_boot_ns();
  header->start_time_ns = BPF_CORE_READ(current, group_leader, start_boottime);
  header->cgroup_id = bpf_get_current_cgroup_id();
  header->slot = slot;
  header->pid = ids >> 32;
  header->tid = (__u32)ids;
  header->exec_id = BPF_CORE_READ(current, self_exec_id);
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

static __always_inline void emit_control(void *sample, __u64 size, __u32 slot, __u32 type) {
  struct cicd_shared *memory = shared_memory();
  __u64 flags = BPF_RB_NO_WAKEUP;
  if (memory) flags = wake_flags(&control_ring, memory->control_wake_bytes, memory);
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
