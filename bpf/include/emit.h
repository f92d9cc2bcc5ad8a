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

#define wait_for_reader CICD_OWN(wait_for_reader)

/* How long one act waits at most, when a ring is half full and when it is three quarters full. */
#define CICD_SHORT_WAIT_NS 20000
#define CICD_LONG_WAIT_NS 200000

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

/* `filled`: bytes that wait in the ring. */
static __always_inline __u64 wake_flags(__u64 filled, __u64 threshold_bytes,
                                        struct cicd_shared *memory) {
  __u32 consumer = memory->consumer;
  if (consumer == CICD_CONSUMER_AWAKE) return BPF_RB_NO_WAKEUP;
  if (consumer == CICD_CONSUMER_PACED && filled < threshold_bytes) return BPF_RB_NO_WAKEUP;
  memory->consumer = CICD_CONSUMER_AWAKE;
  return BPF_RB_FORCE_WAKEUP;
}

#ifndef CICD_NO_BPF_LOOP
#define CICD_WAIT_ROUNDS 16384
static long is_wait_over(__u32 round, void *end_ns) {
  return bpf_ktime_get_ns() >= *(__u64 *)end_ns;
}
#else
/* The verifier walks through each round: some 30 us. */
#define CICD_WAIT_ROUNDS 1024
#endif

/*
 * Lets time go by. A job that does more than we can read in time waits for us, a moment at each
 * act, instead of having it lost: the more a ring is filled, the longer. Programs cannot sleep;
 * the time is short enough for where nothing preempts them. A global function: see walk_path.
 */
__noinline int wait_for_reader(__u32 wait_ns) {
  __u64 end_ns = bpf_ktime_get_ns() + wait_ns;
#ifndef CICD_NO_BPF_LOOP
  return bpf_loop(CICD_WAIT_ROUNDS, is_wait_over, &end_ns, 0);
#else
  int round = 0;
  for (; round < CICD_WAIT_ROUNDS; round++) {
    if (bpf_ktime_get_ns() >= end_ns) break;
  }
  return round;
#endif
}

/* `filled`: bytes that wait in the ring; `quarter`: of its size. Bytes that wait after that. */
static __always_inline __u64 slow_down(void *ring, __u64 filled, __u64 quarter, __u32 slot) {
  if (filled <= 2 * quarter) return filled;
  wait_for_reader(filled <= 3 * quarter ? CICD_SHORT_WAIT_NS : CICD_LONG_WAIT_NS);
  count_loss(slot, CICD_LOSS_SLOWED);
  return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
}

/* Programs that look at packets may run where they would hold up others than the job. */
static __always_inline bool is_of_packet(__u32 type) {
  return type == CICD_SAMPLE_DNS || type == CICD_SAMPLE_HTTP || type == CICD_SAMPLE_EGRESS;
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
  if (type != CICD_SAMPLE_CONNECT && type != CICD_SAMPLE_EGRESS) return three_quarters;
  return three_quarters + memory->control_wake_bytes / 2;
}

/* False: there was no room, which is counted. */
static __always_inline bool emit_control(void *sample, __u64 size, __u32 slot, __u32 type) {
  struct cicd_shared *memory = shared_memory();
  __u64 flags = BPF_RB_NO_WAKEUP;
  if (memory) {
    __u64 filled = bpf_ringbuf_query(&control_ring, BPF_RB_AVAIL_DATA);
    if (!is_of_packet(type)) {
      filled = slow_down(&control_ring, filled, memory->control_wake_bytes, slot);
    }
    __u64 limit = control_limit(type, memory);
    if (limit && filled > limit) {
      count_loss(slot, type);
      return false;
    }
    flags = wake_flags(filled, memory->control_wake_bytes, memory);
  }
  if (!bpf_ringbuf_output(&control_ring, sample, size, flags)) return true;
  count_loss(slot, type);
  return false;
}

static __always_inline bool emit_bulk(void *sample, __u64 size, __u32 slot, __u32 type) {
  struct cicd_shared *memory = shared_memory();
  __u64 flags = BPF_RB_NO_WAKEUP;
  if (memory) {
    __u64 quarter = memory->bulk_wake_bytes;
    __u64 filled = bpf_ringbuf_query(&bulk_ring, BPF_RB_AVAIL_DATA);
    filled = slow_down(&bulk_ring, filled, quarter, slot);
    flags = wake_flags(filled, quarter, memory);
  }
  if (!bpf_ringbuf_output(&bulk_ring, sample, size, flags)) return true;
  count_loss(slot, type);
  return false;
}

#endif
