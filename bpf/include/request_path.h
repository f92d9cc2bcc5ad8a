/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A name as the caller of a system call gave it, and the place where it starts when it is
 * relative: the working directory or the file behind a descriptor, walked. Both are looked at when
 * the call returns, so a base that the call itself moved is walked at its new place.
 */
#ifndef CICD_REQUEST_PATH_H
#define CICD_REQUEST_PATH_H

#include "file_of.h"
#include "path.h"

#define AT_FDCWD (-100)

/* `path`: null for a call that names only a descriptor. */
static __always_inline void append_named_path(struct cicd_scratch *scratch,
                                              struct task_struct *task, int directory,
                                              const void *path, bool is_user,
                                              struct cicd_string *string,
                                              struct cicd_string *base) {
  __u32 begin = scratch->position;
  if (path) {
    if (is_user) {
      append_user_string(scratch, path, string);
    } else {
      append_kernel_string(scratch, path, CICD_PATH_MAX, string);
    }
    char first = 0;
    if (begin < CICD_SCRATCH_BYTES) first = scratch->data[begin];
    if (string->length > 0 && first == '/') return;
  }
  struct fs_struct *fs = BPF_CORE_READ(task, fs);
  struct vfsmount *mount;
  struct dentry *dentry;
  if (directory == AT_FDCWD) {
    mount = BPF_CORE_READ(fs, pwd.mnt);
    dentry = BPF_CORE_READ(fs, pwd.dentry);
  } else {
    struct file *file = file_of_current(directory);
    if (!file) return;
    mount = BPF_CORE_READ(file, f_path.mnt);
    dentry = BPF_CORE_READ(file, f_path.dentry);
  }
  append_path(scratch, mount, dentry, fs, base);
}

/* The name in user memory, as the caller has it now. */
static __always_inline void append_request_path(struct cicd_scratch *scratch,
                                                struct task_struct *task, int directory,
                                                const void *path, struct cicd_string *string,
                                                struct cicd_string *base) {
  append_named_path(scratch, task, directory, path, true, string, base);
}

#endif
