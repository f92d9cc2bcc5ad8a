/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The file behind a descriptor of a task. The table is read without its lock: a descriptor that
 * another thread closes or reuses at the same moment gives nothing, or the file that is there now.
 */
#ifndef CICD_FILE_OF_H
#define CICD_FILE_OF_H

#include "current.h"

static __always_inline struct file *file_of(struct task_struct *task, __u32 fd) {
  struct fdtable *table = BPF_CORE_READ(task, files, fdt);
  if (fd >= BPF_CORE_READ(table, max_fds)) return 0;
  struct file **files = BPF_CORE_READ(table, fd);
  struct file *file = 0;
  bpf_probe_read_kernel(&file, sizeof(file), files + fd);
  return file;
}

/* The same for the task that runs. */
static __always_inline struct file *file_of_current(__u32 fd) {
#ifndef CICD_NO_TYPED_TASK
  if (is_task_typed()) {
    struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
    if (fd >= table->max_fds) return 0;
    struct file *file = 0;
    bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
    return file;
  }
#endif
  return file_of((void *)bpf_get_current_task(), fd);
}

#endif
