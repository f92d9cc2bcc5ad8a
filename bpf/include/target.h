/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One process acts on another (struct cicd_sample_target). What repeats an act of before (the same
 * program of the same process, target, act and outcome) is counted and not reported: a debugger
 * makes thousands of them.
 *
 * The target's program is given as the target itself would name it: below its own root, as in its
 * process_exec.
 */
#ifndef CICD_TARGET_H
#define CICD_TARGET_H

#include "find_task.h"
#include "path.h"
#include "track.h"

#define CICD_REPEATS_MAX 2048

struct act {
  __u64 value;
  struct task_struct *target; /* null: not found */
  __u32 named;
  __u16 type;
  __u16 error;
};

struct act_key {
  __u64 start_time_ns;
  __u64 target_start_time_ns;
  __u64 value;
  __u32 pid;
  __u32 exec_id;
  __u32 target_pid;
  __u16 type;
  __u16 error;
};

/* Acts that were reported. One that is pushed out is reported again. */
#define reported_acts CICD_OWN(reported_acts)

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CICD_REPEATS_MAX);
  __type(key, struct act_key);
  __type(value, __u8);
} reported_acts SEC(".maps");

static __always_inline __u32 slot_of_task(struct task_struct *task) {
  __u32 slot = slot_of_cgroup(cgroup_id_of(task));
  return slot ? slot : slot_of_escaped(BPF_CORE_READ(task, tgid));
}

static __always_inline struct act_key key_of_act(const struct cicd_sample_target *sample) {
  struct act_key key = {
      .start_time_ns = sample->header.start_time_ns,
      .target_start_time_ns = sample->target_start_time_ns,
      .value = sample->value,
      .pid = sample->header.pid,
      .exec_id = sample->header.exec_id,
      .target_pid = sample->target_pid,
      .type = sample->header.type,
      .error = (__u16)sample->error,
  };
  return key;
}

static __always_inline bool is_reported_act(const struct cicd_sample_target *sample) {
  struct act_key key = key_of_act(sample);
  return bpf_map_lookup_elem(&reported_acts, &key) != 0;
}

/* Once it is in the ring: what found no room is not reported, the next of its kind is. One that
 * cannot be remembered is reported again. */
static __always_inline void remember_act(const struct cicd_sample_target *sample) {
  struct act_key key = key_of_act(sample);
  __u8 one = 1;
  bpf_map_update_elem(&reported_acts, &key, &one, BPF_ANY);
}

/* What is known of the target; its program's path only while it has memory. */
static __always_inline void append_program_of(struct cicd_scratch *scratch,
                                              struct cicd_sample_target *sample,
                                              struct task_struct *target) {
  struct file *file = BPF_CORE_READ(target, mm, exe_file);
  if (!file) return; /* a zombie or a kernel thread */
  append_path(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry),
              BPF_CORE_READ(target, fs), &sample->target_exec_path);
}

/* Reports what current did to another process. Acts on its own process are nobody's business. */
static __always_inline void emit_act_in(struct cicd_scratch *scratch, const struct act *act,
                                        __u32 slot) {
  struct task_struct *current = (void *)bpf_get_current_task();
  struct task_struct *target = act->target; /* BPF_CORE_READ would relocate `act->target` too */
  __u32 target_pid = target ? BPF_CORE_READ(target, tgid) : 0;
  if (target_pid == bpf_get_current_pid_tgid() >> 32) return;
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct cicd_sample_target *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, act->type, 0, 0, slot, current);
  sample->value = act->value;
  sample->target_named = act->named;
  sample->error = act->error;
  sample->target_pid = target_pid;
  if (target) {
    sample->target_start_time_ns = BPF_CORE_READ(target, group_leader, start_boottime);
    sample->target_slot = slot_of_task(target);
  }
  if (is_reported_act(sample)) {
    count_loss(slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  scratch->position = sizeof(*sample);
  if (target) append_program_of(scratch, sample, target);
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->header.size = size;
  if (emit_control(sample, size, slot, act->type)) remember_act(sample);
}

static __always_inline void emit_act(const struct act *act, __u32 slot) {
  emit_act_in(scratch_memory(), act, slot);
}

/* For programs that can be preempted by others of the same file. */
static __always_inline void emit_act_claimed(const struct act *act, __u32 slot) {
  struct cicd_scratch *scratch = claim_scratch();
  emit_act_in(scratch, act, slot);
  if (scratch) release_scratch(scratch);
}

#endif
