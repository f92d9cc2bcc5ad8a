/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of another process, opened in procfs: a sample besides that of the open, whatever path or
 * call led there.
 */
#ifndef CICD_MEMORY_OPEN_H
#define CICD_MEMORY_OPEN_H

#include "file_sample.h"
#include "target.h"

/* Eight characters as they lie in memory; both architectures are little-endian. */
#define WORD(a, b, c, d, e, f, g, h)                                                       \
  ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
   (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

/* What a name below /proc/<pid> gives away; 0: something else. */
static __always_inline __u64 memory_method(struct dentry *dentry) {
  __u64 name[2] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
  if (name[1] == 0) {
    if (name[0] == WORD('m', 'e', 'm', 0, 0, 0, 0, 0)) return CICD_MEMORY_PROC_MEM;
    if (name[0] == WORD('e', 'n', 'v', 'i', 'r', 'o', 'n', 0)) return CICD_MEMORY_PROC_ENVIRON;
    if (name[0] == WORD('m', 'a', 'p', 's', 0, 0, 0, 0)) return CICD_MEMORY_PROC_MAPS;
    if (name[0] == WORD('s', 'm', 'a', 'p', 's', 0, 0, 0)) return CICD_MEMORY_PROC_MAPS;
  }
  bool rollup = name[0] == WORD('s', 'm', 'a', 'p', 's', '_', 'r', 'o') &&
                name[1] == WORD('l', 'l', 'u', 'p', 0, 0, 0, 0);
  bool numa = name[0] == WORD('n', 'u', 'm', 'a', '_', 'm', 'a', 'p') && name[1] == 's';
  return rollup || numa ? CICD_MEMORY_PROC_MAPS : 0;
}

/* Whatever path led there: a file of procfs knows its process. */
static __always_inline void memory_opened(const struct file_facts *file, __u32 slot) {
  if (file->magic != CICD_MAGIC_PROC) return;
  if (!(file->mode & (FMODE_READ | FMODE_WRITE))) return;
  struct pid *pid = pid_of_proc_inode(file->inode);
  if (!pid) return;
  struct act act = {.type = CICD_SAMPLE_MEMORY, .value = memory_method(file->dentry)};
  if (!act.value) return;
  act.target = task_of_pid(pid);
  emit_act(&act, slot);
}

#endif
