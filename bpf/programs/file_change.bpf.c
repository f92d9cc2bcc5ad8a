// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names of files that were removed, moved and made, and truncate(2), seen when that has succeeded.
//
// Two backends. At the kernel's own functions: security_path_* tells in which mount something is to
// happen (and the name that a file has before it is moved), vfs_* that it did; paths are walked
// between, while the kernel holds what they are made of. Without trampolines: when the system call
// returns. Names are then those the caller gave: the text is read after the kernel has read it, so
// a second thread can show us another one, and a base that the call itself moved (the working
// directory or one above it, named by way of "..") is walked at its new place.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file_sample.h"
#include "syscall_args.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define NR_TRUNCATE 76
#define NR_RENAME 82
#define NR_RMDIR 84
#define NR_LINK 86
#define NR_UNLINK 87
#define NR_SYMLINK 88
#define NR_UNLINKAT 263
#define NR_RENAMEAT 264
#define NR_LINKAT 265
#define NR_SYMLINKAT 266
#define NR_RENAMEAT2 316
#else
#define NR_TRUNCATE 45
#define NR_RENAME (-1)
#define NR_RMDIR (-1)
#define NR_LINK (-1)
#define NR_UNLINK (-1)
#define NR_SYMLINK (-1)
#define NR_UNLINKAT 35
#define NR_RENAMEAT 38
#define NR_LINKAT 37
#define NR_SYMLINKAT 36
#define NR_RENAMEAT2 276
#endif

static __always_inline bool read_remove(long number, const unsigned long *args,
                                        struct names *names) {
  names->type = CICD_SAMPLE_REMOVE;
  if (number == NR_UNLINKAT) {
    names->directory = (int)args[0];
    names->path = (const void *)args[1];
    if (args[2] & AT_REMOVEDIR) names->flags = CICD_PATHS_FOLDER;
    return true;
  }
  names->path = (const void *)args[0];
  if (number == NR_RMDIR) names->flags = CICD_PATHS_FOLDER;
  return number == NR_UNLINK || number == NR_RMDIR;
}

static __always_inline bool read_move(long number, const unsigned long *args, struct names *names) {
  names->type = CICD_SAMPLE_MOVE;
  if (number == NR_RENAME) {
    names->path = (const void *)args[0];
    names->other = (const void *)args[1];
    return true;
  }
  names->directory = (int)args[0];
  names->path = (const void *)args[1];
  names->other_directory = (int)args[2];
  names->other = (const void *)args[3];
  if (number == NR_RENAMEAT2 && (args[4] & RENAME_EXCHANGE)) names->flags = CICD_PATHS_EXCHANGE;
  return number == NR_RENAMEAT || number == NR_RENAMEAT2;
}

static __always_inline bool read_link(long number, const unsigned long *args, struct names *names) {
  names->type = CICD_SAMPLE_LINK;
  if (number == NR_LINK || number == NR_SYMLINK) {
    names->other = (const void *)args[0];
    names->path = (const void *)args[1];
    if (number == NR_SYMLINK) names->flags = CICD_PATHS_SYMLINK;
    return true;
  }
  if (number == NR_SYMLINKAT) {
    names->other = (const void *)args[0];
    names->directory = (int)args[1];
    names->path = (const void *)args[2];
    names->flags = CICD_PATHS_SYMLINK;
    return true;
  }
  names->other_directory = (int)args[0];
  names->other = (const void *)args[1];
  names->directory = (int)args[2];
  names->path = (const void *)args[3];
  if (args[4] & AT_SYMLINK_FOLLOW) names->flags = CICD_PATHS_FOLLOWED;
  return number == NR_LINKAT;
}

SEC("tp/syscalls/sys_exit_unlinkat")
int file_changed(struct trace_event_raw_sys_exit *ctx) {
  if (ctx->ret < 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  int number = (int)ctx->id;
  unsigned long args[6];
  struct pt_regs *regs = entry_registers();
  syscall_args(regs, args);
  syscall_late_args(regs, args + 3);
  if (number == NR_TRUNCATE) {
    emit_truncate(scratch, (const void *)args[0], slot);
    return 0;
  }
  struct names names = {.directory = AT_FDCWD, .other_directory = AT_FDCWD};
  bool known = false;
  if (number == NR_UNLINK || number == NR_RMDIR || number == NR_UNLINKAT) {
    known = read_remove(number, args, &names);
  } else if (number == NR_RENAME || number == NR_RENAMEAT || number == NR_RENAMEAT2) {
    known = read_move(number, args, &names);
  } else {
    known = read_link(number, args, &names);
  }
  if (known) {
    emit_names(scratch, &names, slot);
  } else {
    count_loss(slot, CICD_LOSS_SCRATCH);
  }
  return 0;
}

#define CHANGES_MAX 8192 /* threads that change a name at a time */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct renamedata {
  struct dentry *old_dentry;
};
#pragma clang attribute pop

/* What a thread is at. Pointers are good until the function has returned that carries it out. */
struct change {
  struct dentry *dentry; /* removed, moved or made */
  struct vfsmount *mount;
  const void *other;     /* link: the dentry it leads to; symbolic link: its text */
  struct dentry *folder; /* move: where it was */
  __u32 flags;           /* move: those of renameat2 */
  __u32 is_folder;       /* that is to be removed */
};

/* What never came to its end is pushed out. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CHANGES_MAX);
  __type(key, __u64);
  __type(value, struct change);
} changes SEC(".maps");

/* A move changes the name of what it moves. */
struct old_name {
  char name[CICD_NAME_BYTES];
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CHANGES_MAX);
  __type(key, __u64);
  __type(value, struct old_name);
} old_names SEC(".maps");

static __always_inline void change_asked(const void *folder, void *dentry, const void *other,
                                         bool is_folder) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  const struct path *path = folder;
  __u64 thread = bpf_get_current_pid_tgid();
  struct change change = {
      .dentry = dentry, .mount = BPF_CORE_READ(path, mnt), .other = other, .is_folder = is_folder};
  if (bpf_map_update_elem(&changes, &thread, &change, BPF_ANY)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
  }
}

/*
 * True when it is what the thread was about to do, and not a file system's own work below it. The
 * dentry is argument `before` before 5.12 and one later since.
 */
static __always_inline bool change_done(void *ctx, __u32 before, __u32 arguments,
                                        struct change *out) {
  __u64 thread = bpf_get_current_pid_tgid();
  struct change *change = bpf_map_lookup_elem(&changes, &thread);
  if (!change) return false;
  unsigned long dentry = (unsigned long)change->dentry;
  bool is_old = argument(ctx, before) == dentry;
  if (!is_old && argument(ctx, before + 1) != dentry) return false;
  *out = *change;
  bpf_map_delete_elem(&changes, &thread);
  return int_result_of(ctx, is_old ? arguments : arguments + 1) == 0;
}

static __always_inline __u16 flags_of_call(void) {
  __s32 number;
  enum cicd_call_kind kind = call_in_work(entry_registers(), &number);
  if (kind == CICD_CALL_32BIT) return CICD_PATHS_COMPAT;
  return kind == CICD_CALL_IO_URING ? CICD_PATHS_IO_URING : 0;
}

/* Claims scratch memory; end_change() gives it back. */
static __always_inline struct cicd_scratch *begin_change(__u16 type, __u16 flags, __u32 slot) {
  struct cicd_scratch *scratch = claim_scratch();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct cicd_sample_paths *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, type, flags | flags_of_call(), 0, slot,
                         (void *)bpf_get_current_task());
  scratch->position = sizeof(*sample);
  return scratch;
}

static __always_inline void end_change(struct cicd_scratch *scratch) {
  emit_scratch(scratch, (void *)scratch->data);
  release_scratch(scratch);
}

static __always_inline struct fs_struct *own_fs(void) {
  struct task_struct *task = (void *)bpf_get_current_task();
  return BPF_CORE_READ(task, fs);
}

/* That the name is gone is what the sample says. */
static __always_inline void append_changed(struct cicd_scratch *scratch, struct vfsmount *mount,
                                           struct dentry *dentry, struct cicd_string *string) {
  append_path(scratch, mount, dentry, own_fs(), string);
  string->flags &= ~CICD_STRING_DELETED;
}

static __always_inline void emit_removed(const struct change *change, __u16 flags, __u32 slot) {
  struct cicd_scratch *scratch = begin_change(CICD_SAMPLE_REMOVE, flags, slot);
  if (!scratch) return;
  struct cicd_sample_paths *sample = (void *)scratch->data;
  append_changed(scratch, change->mount, change->dentry, &sample->path);
  end_change(scratch);
}

/* int security_path_unlink(const struct path *dir, struct dentry *) */
SEC("fentry")
int unlink_asked(void *ctx) {
  change_asked((void *)argument(ctx, 0), (void *)argument(ctx, 1), 0, false);
  return 0;
}

/* int vfs_unlink([idmap,] dir, struct dentry *, delegated) */
SEC("fexit")
int unlinked(void *ctx) {
  __u32 slot = slot_of_current();
  struct change change = {};
  if (slot && change_done(ctx, 1, 3, &change)) emit_removed(&change, 0, slot);
  return 0;
}

/* int security_path_rmdir(const struct path *dir, struct dentry *) */
SEC("fentry")
int rmdir_asked(void *ctx) {
  change_asked((void *)argument(ctx, 0), (void *)argument(ctx, 1), 0, true);
  return 0;
}

/*
 * void d_delete(struct dentry *), which the kernel calls when a folder has been removed. Compilers
 * split vfs_rmdir, so that its beginning is not passed by all.
 */
SEC("fentry")
int folder_removed(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u64 thread = bpf_get_current_pid_tgid();
  struct change *asked = bpf_map_lookup_elem(&changes, &thread);
  if (!asked || !asked->is_folder || (unsigned long)asked->dentry != argument(ctx, 0)) return 0;
  struct change change = *asked;
  bpf_map_delete_elem(&changes, &thread);
  emit_removed(&change, CICD_PATHS_FOLDER, slot);
  return 0;
}

/* int security_path_rename(old_dir, old_dentry, new_dir, new_dentry, flags) */
SEC("fentry")
int move_asked(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  const struct path *folder = (void *)argument(ctx, 0);
  struct dentry *dentry = (void *)argument(ctx, 1);
  __u64 thread = bpf_get_current_pid_tgid();
  struct change change = {.dentry = dentry,
                          .mount = BPF_CORE_READ(folder, mnt),
                          .folder = BPF_CORE_READ(folder, dentry),
                          .flags = (__u32)argument(ctx, 4)};
  struct old_name old = {};
  bpf_probe_read_kernel_str(old.name, sizeof(old.name), BPF_CORE_READ(dentry, d_name.name));
  if (bpf_map_update_elem(&old_names, &thread, &old, BPF_ANY) ||
      bpf_map_update_elem(&changes, &thread, &change, BPF_ANY)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
  }
  return 0;
}

/* int vfs_rename(struct renamedata *) */
SEC("fexit")
int moved(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u64 thread = bpf_get_current_pid_tgid();
  struct change *asked = bpf_map_lookup_elem(&changes, &thread);
  struct renamedata *data = (void *)argument(ctx, 0);
  if (!asked || asked->dentry != BPF_CORE_READ(data, old_dentry)) return 0;
  struct change change = *asked;
  bpf_map_delete_elem(&changes, &thread);
  if (int_result(ctx, 1) != 0) return 0;
  struct old_name *name = bpf_map_lookup_elem(&old_names, &thread);
  __u16 flags = change.flags & RENAME_EXCHANGE ? CICD_PATHS_EXCHANGE : 0;
  if (!name) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct cicd_scratch *scratch = begin_change(CICD_SAMPLE_MOVE, flags, slot);
  if (!scratch) return 0;
  struct cicd_sample_paths *sample = (void *)scratch->data;
  append_path_of_name(scratch, name, change.mount, change.folder, own_fs(), &sample->path);
  append_changed(scratch, change.mount, change.dentry, &sample->other);
  end_change(scratch);
  return 0;
}

/* int security_path_link(struct dentry *old, const struct path *new_dir, struct dentry *new) */
SEC("fentry")
int link_asked(void *ctx) {
  change_asked((void *)argument(ctx, 1), (void *)argument(ctx, 2), (void *)argument(ctx, 0), false);
  return 0;
}

/* int vfs_link(struct dentry *old, [idmap,] dir, struct dentry *new, delegated) */
SEC("fexit")
int linked(void *ctx) {
  __u32 slot = slot_of_current();
  struct change change = {};
  if (!slot || !change_done(ctx, 2, 4, &change)) return 0;
  struct cicd_scratch *scratch = begin_change(CICD_SAMPLE_LINK, 0, slot);
  if (!scratch) return 0;
  struct cicd_sample_paths *sample = (void *)scratch->data;
  append_changed(scratch, change.mount, change.dentry, &sample->path);
  /* A link stays within its mount. */
  append_path(scratch, change.mount, (void *)change.other, own_fs(), &sample->other);
  end_change(scratch);
  return 0;
}

/* int security_path_symlink(const struct path *dir, struct dentry *, const char *old_name) */
SEC("fentry")
int symlink_asked(void *ctx) {
  change_asked((void *)argument(ctx, 0), (void *)argument(ctx, 1), (void *)argument(ctx, 2), false);
  return 0;
}

/* int vfs_symlink([idmap,] dir, struct dentry *, const char *[, delegated]) */
SEC("fexit")
int symlinked(void *ctx) {
  __u32 slot = slot_of_current();
  struct change change = {};
  if (!slot || !change_done(ctx, 1, 3, &change)) return 0;
  struct cicd_scratch *scratch = begin_change(CICD_SAMPLE_LINK, CICD_PATHS_SYMLINK, slot);
  if (!scratch) return 0;
  struct cicd_sample_paths *sample = (void *)scratch->data;
  append_changed(scratch, change.mount, change.dentry, &sample->path);
  append_kernel_string(scratch, change.other, CICD_PATH_MAX, &sample->other);
  end_change(scratch);
  return 0;
}

/* long vfs_truncate(const struct path *, loff_t) */
SEC("fexit")
int path_truncated(void *ctx) {
  if (int_result(ctx, 2) != 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct cicd_scratch *scratch = claim_scratch();
  if (scratch) {
    emit_truncated(scratch, (void *)argument(ctx, 0), slot);
    release_scratch(scratch);
  } else {
    count_loss(slot, CICD_LOSS_SCRATCH);
  }
  return 0;
}
