/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The task behind a number that current names: a pid in its own pid namespace, a pidfd, a file of
 * procfs. The namespace's table of pids is an xarray of at most four levels (pids end at 2^22); it
 * is walked by bounded reads, because the kernel functions for it are younger than the kernel
 * floor. No locks are taken, so what is found is checked: its number in that namespace must be the
 * one that was asked for.
 *
 * All of them return null when there is no such task (any more). A zombie is a task.
 */
#ifndef CICD_FIND_TASK_H
#define CICD_FIND_TASK_H

#include "file_of.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CICD_PID_LEVELS 33 /* of nested namespaces; the kernel's limit is 32 below the first */
#define CICD_XARRAY_LEVELS 6
#define CICD_XARRAY_SLOTS 64

#define CICD_MAGIC_PROC 0x9fa0
#define CICD_MAGIC_PIDFS 0x50494446

/* The number of a pid in the namespace at `level`, and that namespace. */
static __always_inline void *numbers_of(struct pid *pid, __u32 level) {
  return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
         level * bpf_core_type_size(struct upid);
}

static __always_inline struct task_struct *task_of_pid(struct pid *pid) {
  /* The first list is that of PIDTYPE_PID: one task. */
  void *first = 0;
  bpf_probe_read_kernel(&first, sizeof(first),
                        (void *)pid + bpf_core_field_offset(struct pid, tasks));
  if (!first) return 0;
  return first - bpf_core_field_offset(struct task_struct, pid_links);
}

/* Entry `index` of the xarray, or null. */
static __always_inline void *xarray_entry(void *entry, __u32 index) {
  for (int i = 0; i < CICD_XARRAY_LEVELS; i++) {
    unsigned long bits = (unsigned long)entry;
    if ((bits & 3) != 2) {
      /* Without a node above it the head is entry 0 itself. */
      if (i == 0 && index != 0) return 0;
      return bits & 3 ? 0 : entry;
    }
    if (bits <= 4096) return 0; /* no node: the walk raced with a change */
    struct xa_node *node = (void *)(bits - 2);
    __u32 shift = BPF_CORE_READ(node, shift);
    if (shift > 30) return 0;
    __u32 slot = index >> shift;
    if (i == 0 && slot >= CICD_XARRAY_SLOTS) return 0;
    slot &= CICD_XARRAY_SLOTS - 1;
    void *slots = (void *)node + bpf_core_field_offset(struct xa_node, slots);
    if (bpf_probe_read_kernel(&entry, sizeof(entry), slots + slot * sizeof(void *))) return 0;
  }
  return 0;
}

/* The task (any thread) that current calls by this number. */
static __always_inline struct task_struct *find_task(struct task_struct *current, __s32 number) {
  if (number <= 0) return 0;
  struct pid *own = BPF_CORE_READ(current, thread_pid);
  __u32 level = BPF_CORE_READ(own, level);
  if (level >= CICD_PID_LEVELS) return 0;
  struct pid_namespace *space = 0;
  bpf_probe_read_kernel(&space, sizeof(space),
                        numbers_of(own, level) + bpf_core_field_offset(struct upid, ns));
  if (!space) return 0;
  __u32 index = (__u32)number - BPF_CORE_READ(space, idr.idr_base);
  struct pid *pid = xarray_entry(BPF_CORE_READ(space, idr.idr_rt.xa_head), index);
  if (!pid) return 0;
  __s32 found = 0;
  bpf_probe_read_kernel(&found, sizeof(found),
                        numbers_of(pid, level) + bpf_core_field_offset(struct upid, nr));
  return found == number ? task_of_pid(pid) : 0;
}

/* The pid that a file of procfs below /proc/<pid> belongs to; null for other files there. */
static __always_inline struct pid *pid_of_proc_inode(struct inode *inode) {
  struct proc_inode *proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
  return BPF_CORE_READ(proc, pid);
}

/* The task of a pidfd, in each of the forms there have been. */
static __always_inline struct task_struct *find_task_of_pidfd(struct task_struct *current,
                                                              __s32 fd) {
  struct file *file = fd >= 0 ? file_of(current, fd) : 0;
  if (!file) return 0;
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);
  struct pid *pid;
  if (magic == CICD_MAGIC_PIDFS) {
    pid = BPF_CORE_READ(inode, i_private);
  } else if (magic == CICD_MAGIC_PROC) {
    pid = pid_of_proc_inode(inode); /* /proc/<pid> itself serves as one for signals */
  } else {
    pid = BPF_CORE_READ(file, private_data);
  }
  return pid ? task_of_pid(pid) : 0;
}

#endif
