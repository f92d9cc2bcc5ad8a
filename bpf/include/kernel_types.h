/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structs the programs read, each with only the members they read. libbpf finds the
 * offsets in the BTF of the kernel it runs on (CO-RE), so order and size here mean nothing.
 * A member that newer or older kernels name otherwise gets a variant with a `___suffix`.
 */
#ifndef CICD_KERNEL_TYPES_H
#define CICD_KERNEL_TYPES_H

/*
 * All files are linked into one object (cmake/CicdBpf.cmake). A map or global function that stands
 * in a header and that each file is to have for itself gets the file's name behind its own:
 *     #define walk_path CICD_OWN(walk_path)
 */
#define CICD_JOIN_EXPANDED(name, file) name##_##file
#define CICD_JOIN(name, file) CICD_JOIN_EXPANDED(name, file)
#define CICD_OWN(name) CICD_JOIN(name, CICD_FILE)

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

typedef int pid_t;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
  __u64 hash_len;
  const unsigned char *name;
};
struct hlist_bl_node {
  struct hlist_bl_node **pprev;
};
struct super_block {
  __u32 s_dev;
  unsigned long s_magic;
};
struct inode {
  unsigned short i_mode;
  struct super_block *i_sb;
  unsigned long i_ino;
  __u32 i_rdev;
  void *i_private;
};
struct dentry {
  struct hlist_bl_node d_hash;
  struct dentry *d_parent;
  struct qstr d_name;
  struct inode *d_inode;
  struct super_block *d_sb;
};
struct vfsmount {
  struct dentry *mnt_root;
};
struct mount {
  struct mount *mnt_parent;
  struct dentry *mnt_mountpoint;
  struct vfsmount mnt;
};
struct path {
  struct vfsmount *mnt;
  struct dentry *dentry;
};
struct file {
  unsigned int f_mode;
  struct inode *f_inode;
  struct path f_path;
  void *private_data;
};
struct fdtable {
  unsigned int max_fds;
  struct file **fd;
};
struct files_struct {
  struct fdtable *fdt;
};
struct fs_struct {
  struct path root;
  struct path pwd;
};
struct mm_struct {
  unsigned long arg_start;
  unsigned long arg_end;
  unsigned long env_start;
  unsigned long env_end;
  struct file *exe_file;
};
struct linux_binprm {
  const char *filename;
  const char *interp;
};
typedef struct {
  int counter;
} atomic_t;
struct signal_struct {
  atomic_t live;
  int group_exit_code;
  unsigned int flags;
};

struct kernfs_node {
  const char *name;
  __u64 id;
};
struct cgroup_root {
  int hierarchy_id;
};
struct cgroup;
struct cgroup_subsys_state {
  struct cgroup *cgroup;
  struct cgroup_subsys_state *parent;
};
struct cgroup {
  struct cgroup_subsys_state self;
  struct kernfs_node *kn;
  struct cgroup_root *root;
};
struct css_set {
  struct cgroup *dfl_cgrp;
};

struct xarray {
  void *xa_head;
};
struct xa_node {
  unsigned char shift;
  void *slots[64];
};
struct idr {
  struct xarray idr_rt;
  unsigned int idr_base;
};
struct pid_namespace {
  struct idr idr;
};
struct upid {
  int nr;
  struct pid_namespace *ns;
};
struct hlist_node {
  struct hlist_node *next;
};
struct hlist_head {
  struct hlist_node *first;
};
struct pid {
  unsigned int level;
  struct hlist_head tasks[4];
  struct upid numbers[1];
};
struct proc_inode {
  struct pid *pid;
  struct inode vfs_inode;
};
struct kernel_siginfo {
  int si_code;
};

struct nsproxy;

struct task_struct {
  void *stack;
  unsigned int flags;
  pid_t pid;
  pid_t tgid;
  int exit_code;
  __u64 start_boottime;
  __u64 self_exec_id;
  int exit_signal;
  struct pid *thread_pid;
  struct hlist_node pid_links[4];
  struct task_struct *real_parent;
  struct task_struct *group_leader;
  struct mm_struct *mm;
  struct fs_struct *fs;
  struct files_struct *files;
  struct css_set *cgroups;
  struct nsproxy *nsproxy;
  struct signal_struct *signal;
};

struct trace_event_raw_sys_exit {
  long id; /* an int before it is a long: cast it */
  long ret;
};

#pragma clang attribute pop

#endif
