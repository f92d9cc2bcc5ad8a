// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Processes of jobs: fork (new processes, not threads), exec, exit of the last thread.
//
// Since Linux 7.0 a program at a tracepoint can be preempted, and the kernel skips it for whatever
// happens on that CPU until it goes on. So there each event has a second program (`..._again`),
// which looks whether the first one has told the event and does it otherwise; which of the two
// comes first does not matter. The map `members` tells: a process that was made, the last exec
// told, a process that is gone.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Of process_exec and process_exec_again. */
#define CICD_SCRATCH_USERS 2

#include "emit.h"
#include "environment.h"
#include "job_netns.h"
#include "path.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* libbpf fills it in, and the verifier takes it for the constant it is. */
extern int LINUX_KERNEL_VERSION __kconfig;
#define KERNEL(major, minor) (((major) << 16) + ((minor) << 8))
/* Since then the tracepoint says whether this is the last thread. */
#define EXIT_HAS_GROUP_DEAD (LINUX_KERNEL_VERSION >= KERNEL(6, 16))
/* What hook_catalogue.h calls kPreemptsTracepoints. */
#define HAS_SECOND_PROGRAMS (LINUX_KERNEL_VERSION >= KERNEL(7, 0))

#define SIGNAL_GROUP_EXIT 0x00000004

/* A child or thread was made outside the job's cgroups by clone3(CLONE_INTO_CGROUP). */
static __always_inline void emit_clone_escape(struct task_struct *child, __u32 slot, __u64 from,
                                              __u64 to) {
  struct cicd_sample_cgroup sample = {};
  fill_header(&sample.header, CICD_SAMPLE_CGROUP_ATTACH, CICD_ATTACH_ESCAPE | CICD_ATTACH_CLONE,
              sizeof(sample), slot, child);
  sample.target_cgroup_id = to;
  sample.from_cgroup_id = from;
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_CGROUP_ATTACH);
}

static __always_inline void emit_fork(struct task_struct *parent, struct task_struct *child,
                                      __u32 slot, __u64 parent_cgroup) {
  struct cicd_sample_fork sample = {};
  fill_header(&sample.header, CICD_SAMPLE_FORK, 0, sizeof(sample), slot, child);
  sample.parent_start_time_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
  sample.parent_cgroup_id = parent_cgroup;
  sample.parent_pid = BPF_CORE_READ(parent, tgid);
  sample.parent_tid = BPF_CORE_READ(parent, pid);
  sample.parent_exec_id = BPF_CORE_READ(parent, self_exec_id);
  sample.uid = (__u32)bpf_get_current_uid_gid();
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_FORK);
}

/* Processes that `members` has no room for are told by the first program only. */
static __always_inline bool members_are_complete(void) {
  struct cicd_shared *memory = shared_memory();
  return memory && !memory->members_missing;
}

static __always_inline bool fork_was_told(struct task_struct *child, __u32 child_tracked) {
  __u32 tgid = child->tgid;
  if (child->pid != child->tgid) {
    return child_tracked || bpf_map_lookup_elem(&escaped, &tgid);
  }
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  return member && member->exec_id != CICD_MEMBER_MOVED_IN &&
         member->start_time_ns == BPF_CORE_READ(child, start_boottime);
}

static __always_inline void process_made(struct task_struct *parent, struct task_struct *child,
                                         bool is_second) {
  __u64 parent_cgroup = bpf_get_current_cgroup_id();
  __u64 child_cgroup = child->cgroups->dfl_cgrp->kn->id;
  __u32 parent_tracked = slot_of_cgroup(parent_cgroup);
  __u32 child_tracked = parent_tracked;
  if (child_cgroup != parent_cgroup) child_tracked = slot_of_cgroup(child_cgroup);
  __u32 parent_slot = parent_tracked;
  if (!parent_slot) parent_slot = slot_of_escaped(bpf_get_current_pid_tgid() >> 32);
  __u32 slot = child_tracked ? child_tracked : parent_slot;
  if (!slot) return;
  if (is_second && !members_are_complete()) return;
  if (HAS_SECOND_PROGRAMS && fork_was_told(child, child_tracked)) return;

  __u32 tgid = child->tgid;
  bool process = child->pid == child->tgid;
  if (process) {
    member_put(child, slot, child_cgroup, 0,
               step_of_member(bpf_get_current_pid_tgid() >> 32, slot));
  }
  if (!child_tracked) escaped_put(tgid, slot);
  if (process) emit_fork(parent, child, slot, parent_cgroup);
  if (parent_tracked && child_tracked != parent_tracked) {
    emit_clone_escape(child, parent_tracked, parent_cgroup, child_cgroup);
  }
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child) {
  process_made(parent, child, false);
  return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork_again, struct task_struct *parent, struct task_struct *child) {
  process_made(parent, child, true);
  return 0;
}

/* The arguments as they lie in user memory; page by page when a page is not there. */
static __always_inline void append_argv(struct cicd_scratch *scratch, struct mm_struct *mm,
                                        struct cicd_string *string) {
  unsigned long from = BPF_CORE_READ(mm, arg_start);
  unsigned long bytes = BPF_CORE_READ(mm, arg_end) - from;
  __u32 position = scratch->position;
  scratch->start = position;
  scratch->flags = 0;
  if (bytes > CICD_ARGV_MAX) {
    bytes = CICD_ARGV_MAX;
    scratch->flags = CICD_STRING_TRUNCATED;
  }
  if (position > CICD_SCRATCH_BYTES - CICD_ARGV_MAX) return;
  if (!bpf_probe_read_user(scratch->data + position, bytes, (void *)from)) {
    scratch->position = position + bytes;
    finish_string(scratch, string);
    return;
  }
  scratch->flags |= CICD_STRING_FAULT;
  unsigned long end = from + bytes;
  for (int i = 0; i < CICD_ARGV_MAX / 4096 + 1; i++) {
    unsigned long part = 4096 - (from & 4095);
    if (part > end - from) part = end - from;
    position = scratch->position;
    if (position > CICD_SCRATCH_BYTES - 4096 || part == 0) break;
    /* It is 4096 at most; said as a mask, which older kernels understand. */
    part -= 1;
    asm volatile("" : "+r"(part));
    part = (part & 4095) + 1;
    if (bpf_probe_read_user(scratch->data + position, part, (void *)from)) break;
    scratch->position = position + part;
    from += part;
  }
  finish_string(scratch, string);
}

/* The program file itself: identity, path, and whether it lives in memory only. */
static __always_inline void append_program(struct cicd_scratch *scratch,
                                           struct cicd_sample_exec *sample, struct file *file,
                                           struct fs_struct *fs) {
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  sample->inode = BPF_CORE_READ(inode, i_ino);
  sample->device = BPF_CORE_READ(inode, i_sb, s_dev);
  append_path(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry), fs,
              &sample->exec_path);
  if (sample->exec_path.flags & CICD_STRING_MEMFD) sample->header.flags |= CICD_EXEC_MEMFD;
}

/* False when this exec was told already, or is nobody's. */
static __always_inline bool take_exec(struct task_struct *task, __u32 *slot, bool is_second) {
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  __u64 cgroup_id = bpf_get_current_cgroup_id();
  __u32 exec_id = BPF_CORE_READ(task, self_exec_id);
  *slot = slot_of_current();
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  if (!*slot && !member) return false;
  if (is_second && !members_are_complete()) return false;
  if (!member) {
    member_put(task, *slot, cgroup_id, exec_id, 0);
    return true;
  }
  if (HAS_SECOND_PROGRAMS && member->exec_id == exec_id) return false;
  member->exec_id = exec_id;
  /* Being moved out of the job right now: cgroup_attach_task comes after the move. */
  if (!*slot) *slot = member->slot;
  return true;
}

static __always_inline void program_started(struct task_struct *task, pid_t old_pid,
                                            struct linux_binprm *bprm, bool is_second) {
  __u32 slot;
  if (!take_exec(task, &slot, is_second)) return;
  ask_for_resolver(slot, task);
  struct cicd_scratch *scratch = scratch_of(is_second);
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct cicd_sample_exec *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_EXEC, 0, 0, slot, task);
  __u64 ids = bpf_get_current_uid_gid();
  sample->uid = (__u32)ids;
  sample->gid = ids >> 32;
  sample->old_tid = old_pid;
  const char *filename = BPF_CORE_READ(bprm, filename);
  if (filename != BPF_CORE_READ(bprm, interp)) sample->header.flags |= CICD_EXEC_SCRIPT;

  struct mm_struct *mm = BPF_CORE_READ(task, mm);
  struct fs_struct *fs = BPF_CORE_READ(task, fs);
  scratch->position = sizeof(*sample);
  append_program(scratch, sample, BPF_CORE_READ(mm, exe_file), fs);
  append_kernel_string(scratch, filename, CICD_PATH_MAX, &sample->filename);
  append_path(scratch, BPF_CORE_READ(fs, pwd.mnt), BPF_CORE_READ(fs, pwd.dentry), fs, &sample->cwd);
  append_argv(scratch, mm, &sample->argv);
  append_environment(scratch, mm, &sample->environment);
  find_step(scratch, slot);

  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->header.size = size;
  emit_control(sample, size, slot, CICD_SAMPLE_EXEC);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm) {
  program_started(task, old_pid, bprm, false);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec_again, struct task_struct *task, pid_t old_pid,
             struct linux_binprm *bprm) {
  program_started(task, old_pid, bprm, true);
  return 0;
}

static __always_inline void process_ended(const __u64 *ctx, bool is_second) {
  struct task_struct *task = (void *)ctx[0];
  if (EXIT_HAS_GROUP_DEAD) {
    if (!(ctx[1] & 1)) return;
  } else if (BPF_CORE_READ(task, signal, live.counter) != 0) {
    return;
  }
  __u32 slot = slot_of_current();
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  if (!slot && member) slot = member->slot;
  if (!slot) return;
  bool removed = bpf_map_delete_elem(&members, &tgid) == 0;
  if (!removed && (!EXIT_HAS_GROUP_DEAD || HAS_SECOND_PROGRAMS)) {
    /*
     * Two last threads can both find `live` at zero, and two programs come for one: only one
     * removes the member.
     */
    if (is_second || members_are_complete()) return;
  }
  escaped_drop(tgid);

  struct cicd_sample_exit sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_EXIT, 0, sizeof(sample), slot, task);
  struct signal_struct *signal = BPF_CORE_READ(task, signal);
  if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT) {
    sample.status = BPF_CORE_READ(signal, group_exit_code);
  } else {
    sample.status = BPF_CORE_READ(task, group_leader, exit_code);
  }
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_EXIT);
}

SEC("tp_btf/sched_process_exit")
int process_exit(__u64 *ctx) {
  process_ended(ctx, false);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int process_exit_again(__u64 *ctx) {
  process_ended(ctx, true);
  return 0;
}
