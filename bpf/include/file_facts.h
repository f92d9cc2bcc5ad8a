/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs want to know of an open file, in one read for each struct instead of one for
 * each member: a read through a helper costs some twenty nanoseconds, whether it is of four bytes
 * or of eighty. Where a kernel has a member farther behind than any that was looked at (5.10
 * to 7.2), the members are read one by one.
 */
#ifndef CICD_FILE_FACTS_H
#define CICD_FILE_FACTS_H

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CICD_FILE_BLOCK 80
#define CICD_INODE_BLOCK 72

struct file_facts {
  struct inode *inode;
  struct vfsmount *mount;
  struct dentry *dentry;
  struct super_block *super;
  __u64 inode_number;
  __u64 magic; /* of the file system */
  __u32 device;
  __u32 mode; /* FMODE_* */
  __u32 inode_mode;
};

#define CICD_FITS(type, member, bytes) \
  (bpf_core_field_offset(type, member) + bpf_core_field_size(type, member) <= (bytes))
/* A member in a block that holds the beginning of its struct. */
#define CICD_IN_BLOCK(block, type, member, as) \
  (*(as *)((block) + bpf_core_field_offset(type, member)))

static __always_inline void read_file(struct file *file, struct file_facts *out) {
  if (CICD_FITS(struct file, f_mode, CICD_FILE_BLOCK) &&
      CICD_FITS(struct file, f_inode, CICD_FILE_BLOCK) &&
      CICD_FITS(struct file, f_path, CICD_FILE_BLOCK)) {
    char block[CICD_FILE_BLOCK] __attribute__((aligned(8)));
    bpf_probe_read_kernel(block, sizeof(block), file);
    out->mode = CICD_IN_BLOCK(block, struct file, f_mode, __u32);
    out->inode = CICD_IN_BLOCK(block, struct file, f_inode, struct inode *);
    out->mount = CICD_IN_BLOCK(block, struct file, f_path.mnt, struct vfsmount *);
    out->dentry = CICD_IN_BLOCK(block, struct file, f_path.dentry, struct dentry *);
    return;
  }
  out->mode = BPF_CORE_READ(file, f_mode);
  out->inode = BPF_CORE_READ(file, f_inode);
  out->mount = BPF_CORE_READ(file, f_path.mnt);
  out->dentry = BPF_CORE_READ(file, f_path.dentry);
}

static __always_inline void read_inode(struct file_facts *out) {
  struct inode *inode = out->inode;
  if (CICD_FITS(struct inode, i_mode, CICD_INODE_BLOCK) &&
      CICD_FITS(struct inode, i_sb, CICD_INODE_BLOCK) &&
      CICD_FITS(struct inode, i_ino, CICD_INODE_BLOCK)) {
    char block[CICD_INODE_BLOCK] __attribute__((aligned(8)));
    bpf_probe_read_kernel(block, sizeof(block), inode);
    out->inode_mode = CICD_IN_BLOCK(block, struct inode, i_mode, __u16);
    out->super = CICD_IN_BLOCK(block, struct inode, i_sb, struct super_block *);
    out->inode_number = CICD_IN_BLOCK(block, struct inode, i_ino, __u64);
  } else {
    out->inode_mode = BPF_CORE_READ(inode, i_mode);
    out->super = BPF_CORE_READ(inode, i_sb);
    out->inode_number = BPF_CORE_READ(inode, i_ino);
  }
  struct super_block *super = out->super;
  out->device = BPF_CORE_READ(super, s_dev);
  out->magic = BPF_CORE_READ(super, s_magic);
}

#endif
