/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose work is this? Every hook asks slot_of_current() first and returns at 0, so that work
 * outside all jobs costs one lookup of a cgroup id. Who belongs to a job is decided by cgroup; a
 * process that leaves the job's cgroups keeps its slot through the map `escaped`.
 */
#ifndef CICD_TRACK_H
#define CICD_TRACK_H

#include "maps.h"

#include <bpf/bpf_core_read.h>

static __always_inline __u32 slot_of_cgroup(__u64 cgroup_id) {
  __u32 *slot = bpf_map_lookup_elem(&tracked_cgroups, &cgroup_id);
  return slot ? *slot : 0;
}

static __always_inline __u32 slot_of_escaped(__u32 tgid) {
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->escaped) return 0;
  __u32 *slot = bpf_map_lookup_elem(&escaped, &tgid);
  return slot ? *slot : 0;
}

static __always_inline __u32 slot_of_current(void) {
  __u32 slot = slot_of_cgroup(bpf_get_current_cgroup_id());
  if (slot) return slot;
  return slot_of_escaped(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline __u32 step_of_member(__u32 tgid, __u32 slot) {
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  return member && member->slot == slot ? member->step : 0;
}

static __always_inline void member_put(struct task_struct *task, __u32 slot, __u64 cgroup_id,
                                       __u32 exec_id, __u32 step) {
  __u32 tgid = BPF_CORE_READ(task, tgid);
  struct cicd_member member = {
      .cgroup_id = cgroup_id, .slot = slot, .exec_id = exec_id, .step = step};
  member.start_time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  if (!bpf_map_update_elem(&members, &tgid, &member, BPF_ANY)) return;
  count_loss(slot, CICD_LOSS_MEMBERS_FULL);
  struct cicd_shared *memory = shared_memory();
  if (memory) __sync_fetch_and_add(&memory->members_missing, 1);
}

/* Returns true when the process was not known as escaped before. */
static __always_inline bool escaped_put(__u32 tgid, __u32 slot) {
  struct cicd_shared *memory = shared_memory();
  if (!memory) return false;
  if (memory->escaped && bpf_map_lookup_elem(&escaped, &tgid)) {
    bpf_map_update_elem(&escaped, &tgid, &slot, BPF_EXIST);
    return false;
  }
  /* Counted before it is there: a reader may look in vain, it never fails to look. */
  __sync_fetch_and_add(&memory->escaped, 1);
  if (bpf_map_update_elem(&escaped, &tgid, &slot, BPF_NOEXIST)) {
    __sync_fetch_and_add(&memory->escaped, -1);
    count_loss(slot, CICD_LOSS_ESCAPED_FULL);
  }
  return true;
}

static __always_inline void escaped_drop(__u32 tgid) {
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->escaped) return;
  if (!bpf_map_delete_elem(&escaped, &tgid)) __sync_fetch_and_add(&memory->escaped, -1);
}

#endif
