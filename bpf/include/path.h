/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strings of a sample, built behind its fixed part in scratch memory: paths walked from dentry and
 * mount up to the task's root (as d_path does it), raw strings of user and kernel memory.
 *
 * The write position lives in map memory and not in a register: the verifier then sees the same
 * state in every round of the loop, and 200 components stay cheap to check on every kernel. The
 * walk takes no locks; a rename at the same moment can give a mixture of both names.
 *
 * Each program has scratch memory of its own; programs can interrupt each other on a CPU. Where a
 * file has several programs that walk, it defines CICD_SCRATCH_USERS and each takes its number: a
 * program never runs twice at a time on a CPU, two of them can.
 */
#ifndef CICD_PATH_H
#define CICD_PATH_H

#include "emit.h"

#define CICD_NAME_BYTES 256 /* longest component with its NUL */
#define CICD_SCRATCH_BYTES 24576
/* Rounds of the walk: components and mounts crossed on the way. */
#define CICD_WALK_ROUNDS (CICD_PATH_COMPONENTS_MAX + 16)

#define CICD_MAGIC_PIPE 0x50495045
#define CICD_MAGIC_SOCKET 0x534F434B
#define CICD_MAGIC_NAMESPACE 0x6e736673
#define CICD_MAGIC_ANON_INODE 0x09041934
#define CICD_MAGIC_TMPFS 0x01021994
#define CICD_MAGIC_HUGETLBFS 0x958458f6

struct cicd_scratch {
  struct dentry *dentry; /* where the walk is */
  struct vfsmount *mount;
  struct dentry *mount_root;
  struct dentry *root_dentry; /* where it ends */
  struct vfsmount *root_mount;
  __u32 position; /* in data; where the next string goes */
  __u32 start;    /* of the string in work */
  __u32 flags;    /* of the string in work */
  __u32 busy;     /* held; only where a program can be preempted (claim_scratch) */
  __u32 user;     /* whose this is */
  __u32 pad0;
  char data[CICD_SCRATCH_BYTES];
};

#ifndef CICD_SCRATCH_USERS
#define CICD_SCRATCH_USERS 1
#endif

#define path_scratch CICD_OWN(path_scratch)
#define walk_path CICD_OWN(walk_path)
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CICD_SCRATCH_USERS);
  __type(key, __u32);
  __type(value, struct cicd_scratch);
} path_scratch SEC(".maps");

static __always_inline struct cicd_scratch *scratch_of(__u32 user) {
  struct cicd_scratch *scratch = bpf_map_lookup_elem(&path_scratch, &user);
  if (scratch) scratch->user = user;
  return scratch;
}

static __always_inline struct cicd_scratch *scratch_memory(void) { return scratch_of(0); }

/*
 * For programs that another task can preempt on the same CPU (cgroup hooks, trampolines) and that
 * share scratch memory with others: null while another one is at it. Needs a kernel with
 * compare-and-exchange for BPF (5.12). The object for older ones makes do without: in 5.10 nothing
 * preempts a program, and from 5.12 to 5.16 that has to happen twice within two instructions.
 */
static __always_inline struct cicd_scratch *claim_scratch_of(__u32 user) {
  struct cicd_scratch *scratch = scratch_of(user);
  if (!scratch) return 0;
#ifndef CICD_NO_BPF_LOOP
  if (__sync_val_compare_and_swap(&scratch->busy, 0, 1)) return 0;
#else
  if (*(volatile __u32 *)&scratch->busy) return 0;
  *(volatile __u32 *)&scratch->busy = 1;
#endif
  return scratch;
}

static __always_inline struct cicd_scratch *claim_scratch(void) { return claim_scratch_of(0); }

static __always_inline void release_scratch(struct cicd_scratch *scratch) {
  *(volatile __u32 *)&scratch->busy = 0;
}

/* The neighbours d_parent and d_name of a dentry, in one read where they are neighbours. */
struct walked_name {
  struct dentry *parent;
  __u64 hash_and_length; /* lies between the two */
  const unsigned char *name;
};

static __always_inline void read_name(struct dentry *dentry, struct walked_name *out) {
  if (bpf_core_field_offset(struct dentry, d_name.hash_len) ==
          bpf_core_field_offset(struct dentry, d_parent) + 8 &&
      bpf_core_field_offset(struct dentry, d_name.name) ==
          bpf_core_field_offset(struct dentry, d_parent) + 16) {
    bpf_probe_read_kernel(out, sizeof(*out),
                          (void *)dentry + bpf_core_field_offset(struct dentry, d_parent));
    return;
  }
  out->parent = BPF_CORE_READ(dentry, d_parent);
  out->name = BPF_CORE_READ(dentry, d_name.name);
}

/* One round; returns true when the walk is at its end. */
static __always_inline bool walk_round(struct cicd_scratch *scratch) {
  struct dentry *dentry = scratch->dentry;
  struct vfsmount *mount = scratch->mount;
  if (dentry == scratch->root_dentry && mount == scratch->root_mount) return true;
  if (dentry == scratch->mount_root) {
    struct mount *here = (void *)mount - bpf_core_field_offset(struct mount, mnt);
    struct mount *parent = BPF_CORE_READ(here, mnt_parent);
    if (!parent || parent == here) {
      scratch->flags |= CICD_STRING_UNREACHABLE;
      return true;
    }
    mount = (void *)parent + bpf_core_field_offset(struct mount, mnt);
    scratch->dentry = BPF_CORE_READ(here, mnt_mountpoint);
    scratch->mount = mount;
    scratch->mount_root = BPF_CORE_READ(mount, mnt_root);
    return false;
  }
  struct walked_name name = {};
  read_name(dentry, &name);
  struct dentry *parent = name.parent;
  if (!parent || parent == dentry) {
    scratch->flags |= CICD_STRING_UNREACHABLE;
    return true;
  }
  /* No call between the check and the use: a register that was put aside before the check comes
   * back without its bounds on kernels before 6.8. */
  __u32 position = scratch->position;
  if (position > CICD_SCRATCH_BYTES - CICD_NAME_BYTES) {
    scratch->flags |= CICD_STRING_TRUNCATED;
    return true;
  }
  long length = bpf_probe_read_kernel_str(scratch->data + position, CICD_NAME_BYTES, name.name);
  if (length <= 0) {
    scratch->flags |= CICD_STRING_FAULT;
    return true;
  }
  position += length;
  if (position - scratch->start > CICD_PATH_MAX) {
    scratch->flags |= CICD_STRING_TRUNCATED;
    return true;
  }
  scratch->position = position;
  scratch->dentry = parent;
  return false;
}

/* Files outside every path. Returns their flag, or 0 for an ordinary file. */
static __always_inline __u32 special_file_flag(struct dentry *dentry) {
  unsigned long magic = BPF_CORE_READ(dentry, d_sb, s_magic);
  if (magic == CICD_MAGIC_PIPE) return CICD_STRING_PIPE;
  if (magic == CICD_MAGIC_SOCKET) return CICD_STRING_SOCKET;
  if (magic == CICD_MAGIC_NAMESPACE) return CICD_STRING_NAMESPACE;
  if (magic == CICD_MAGIC_ANON_INODE) return CICD_STRING_ANON_INODE;
  if (magic != CICD_MAGIC_TMPFS && magic != CICD_MAGIC_HUGETLBFS) return 0;
  /* A memfd is a file without a parent whose name the kernel made: "memfd:<name>". */
  if (BPF_CORE_READ(dentry, d_parent) != dentry) return 0;
  char name[6] = {};
  bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
  bool memfd = name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
               name[4] == 'd' && name[5] == ':';
  return memfd ? CICD_STRING_MEMFD : 0;
}

static __always_inline void finish_string(struct cicd_scratch *scratch,
                                          struct cicd_string *string) {
  string->length = scratch->position - scratch->start;
  string->flags = scratch->flags;
}

/* Raw string of kernel memory; a longer one is marked as cut. `limit` is a constant. */
static __always_inline void append_kernel_string(struct cicd_scratch *scratch, const void *from,
                                                 __u32 limit, struct cicd_string *string) {
  __u32 position = scratch->position;
  scratch->start = position;
  scratch->flags = 0;
  if (position <= CICD_SCRATCH_BYTES - CICD_PATH_MAX) {
    long length = bpf_probe_read_kernel_str(scratch->data + position, limit, from);
    char next = 0;
    if (length == limit) bpf_probe_read_kernel(&next, 1, from + limit - 1);
    if (length > 0) scratch->position = position + length - 1;
    if (length <= 0) scratch->flags = CICD_STRING_FAULT;
    if (next) scratch->flags = CICD_STRING_TRUNCATED;
  }
  finish_string(scratch, string);
}

static __always_inline void append_user_string(struct cicd_scratch *scratch, const void *from,
                                               struct cicd_string *string) {
  __u32 position = scratch->position;
  scratch->start = position;
  scratch->flags = 0;
  if (position <= CICD_SCRATCH_BYTES - CICD_PATH_MAX) {
    /* Of an empty string older kernels give 0, newer ones 1. */
    long length = bpf_probe_read_user_str(scratch->data + position, CICD_PATH_MAX, from);
    char next = 0;
    if (length == CICD_PATH_MAX) bpf_probe_read_user(&next, 1, from + CICD_PATH_MAX - 1);
    if (length > 0) scratch->position = position + length - 1;
    if (length < 0) scratch->flags = CICD_STRING_FAULT;
    if (next) scratch->flags = CICD_STRING_TRUNCATED;
  }
  finish_string(scratch, string);
}

#ifndef CICD_NO_BPF_LOOP
static long walk_step(__u32 index, void *context) {
  struct cicd_scratch *scratch = scratch_of(*(__u32 *)context);
  return !scratch || walk_round(scratch);
}
#endif

/*
 * The whole walk. A global function: the verifier checks it once, not once for every path of a
 * program; with bpf_loop it looks at one round instead of all of them, which makes a program load
 * in a tenth of the time. That is there since 5.17, and a kernel before 5.13 refuses a program with
 * the address of a function in it, reached or not: for them all is compiled a second time.
 * Returns 0 at the end of the path, 1 when the rounds did not suffice.
 */
__noinline int walk_path(__u32 user) {
  struct cicd_scratch *scratch = scratch_of(user);
  if (!scratch) return 1;
#ifndef CICD_NO_BPF_LOOP
  /* It gives the number of rounds, the one that found the end included. */
  return bpf_loop(CICD_WALK_ROUNDS + 1, walk_step, &user, 0) > CICD_WALK_ROUNDS;
#else
  for (int i = 0; i < CICD_WALK_ROUNDS; i++) {
    if (walk_round(scratch)) return 0;
  }
  return 1;
#endif
}

static __always_inline void walk_from(struct cicd_scratch *scratch, struct vfsmount *mount,
                                      struct dentry *dentry, struct fs_struct *fs) {
  scratch->dentry = dentry;
  scratch->mount = mount;
  scratch->mount_root = BPF_CORE_READ(mount, mnt_root);
  struct path root = {}; /* its two members are all there is of it */
  bpf_core_read(&root, sizeof(root), &fs->root);
  scratch->root_dentry = root.dentry;
  scratch->root_mount = root.mnt;
  if (walk_path(scratch->user)) scratch->flags |= CICD_STRING_TRUNCATED;
}

/* The path of (mount, dentry) as a task with this fs_struct sees it. */
static __always_inline void append_path(struct cicd_scratch *scratch, struct vfsmount *mount,
                                        struct dentry *dentry, struct fs_struct *fs,
                                        struct cicd_string *string) {
  __u32 special = special_file_flag(dentry);
  if (special) {
    append_kernel_string(scratch, BPF_CORE_READ(dentry, d_name.name), CICD_NAME_BYTES, string);
    string->flags |= special;
    return;
  }
  scratch->start = scratch->position;
  scratch->flags = CICD_STRING_COMPONENTS;
  if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry) {
    scratch->flags |= CICD_STRING_DELETED;
  }
  walk_from(scratch, mount, dentry, fs);
  finish_string(scratch, string);
}

/* The path of `name` in a folder; it may be there no more. */
static __always_inline void append_path_of_name(struct cicd_scratch *scratch, const void *name,
                                                struct vfsmount *mount, struct dentry *folder,
                                                struct fs_struct *fs, struct cicd_string *string) {
  __u32 position = scratch->position;
  scratch->start = position;
  scratch->flags = CICD_STRING_COMPONENTS;
  if (position <= CICD_SCRATCH_BYTES - CICD_NAME_BYTES) {
    long length = bpf_probe_read_kernel_str(scratch->data + position, CICD_NAME_BYTES, name);
    if (length > 0) scratch->position = position + length;
  }
  walk_from(scratch, mount, folder, fs);
  finish_string(scratch, string);
}

#endif
