// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Changes of the tree of mounts, seen when the call has succeeded. Of the new mount API the step
// that matters is move_mount: before it a new mount is nowhere. The mount then says itself where
// it is and what it is made from.
//
// Two backends: the functions of the system calls in the kernel, those of 32-bit calls too; and the
// tracepoints at the return of system calls. Both read the names that the caller gave.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "request_path.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define NR_PIVOT_ROOT 155
#define NR_MOUNT 165
#define NR_UMOUNT2 166
#else
#define NR_UMOUNT2 39
#define NR_MOUNT 40
#define NR_PIVOT_ROOT 41
#endif
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442

#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_MOVE 8192
#define MS_PROPAGATION (1 << 17 | 1 << 18 | 1 << 19 | 1 << 20)
#define MOVE_MOUNT_F_EMPTY_PATH 4
#define AT_EMPTY_PATH 0x1000
/* A descriptor of fsmount or of open_tree with OPEN_TREE_CLONE. */
#define FMODE_NEED_UNMOUNT 0x10000000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct super_block___mounted {
  struct dentry *s_root;
};
struct mount___source {
  const char *mnt_devname;
};
#pragma clang attribute pop

static __always_inline struct mount *mount_of(struct vfsmount *vfs) {
  return (void *)vfs - bpf_core_field_offset(struct mount, mnt);
}

/* As the kernel takes the flags apart. */
static __always_inline __u32 operation_of(unsigned long flags) {
  if (flags & MS_REMOUNT) return CICD_MOUNT_REMOUNT;
  if (flags & MS_BIND) return CICD_MOUNT_BIND;
  if (flags & MS_PROPAGATION) return CICD_MOUNT_PROPAGATION;
  if (flags & MS_MOVE) return CICD_MOUNT_MOVE;
  return CICD_MOUNT_NEW;
}

static __always_inline void describe_mount(struct cicd_scratch *scratch,
                                           struct cicd_sample_paths *sample,
                                           struct task_struct *task, const unsigned long *args) {
  const void *source = (const void *)args[0];
  sample->mount_flags = args[3];
  sample->operation = operation_of(args[3]);
  append_request_path(scratch, task, AT_FDCWD, (const void *)args[1], &sample->path, &sample->base);
  if (sample->operation == CICD_MOUNT_BIND || sample->operation == CICD_MOUNT_MOVE) {
    append_request_path(scratch, task, AT_FDCWD, source, &sample->other, &sample->other_base);
  } else if (sample->operation == CICD_MOUNT_NEW) {
    /* A device, a share, or any text; without one the kind of file system tells most. */
    append_user_string(scratch, source ? source : (const void *)args[2], &sample->other);
  }
}

/* What a mount is made from: a directory of its file system, or all of it. */
static __always_inline void append_mount_source(struct cicd_scratch *scratch, struct vfsmount *vfs,
                                                struct cicd_string *string) {
  struct dentry *root = BPF_CORE_READ(vfs, mnt_root);
  struct super_block___mounted *super = (void *)BPF_CORE_READ(root, d_sb);
  struct dentry *top = BPF_CORE_READ(super, s_root);
  if (root == top) {
    struct mount___source *mount = (void *)mount_of(vfs);
    append_kernel_string(scratch, BPF_CORE_READ(mount, mnt_devname), CICD_PATH_MAX, string);
    return;
  }
  scratch->dentry = root;
  scratch->mount = vfs;
  scratch->mount_root = top;
  scratch->root_dentry = top;
  scratch->root_mount = vfs;
  scratch->start = scratch->position;
  scratch->flags = CICD_STRING_COMPONENTS;
  if (walk_path(scratch->user)) scratch->flags |= CICD_STRING_TRUNCATED;
  finish_string(scratch, string);
}

static __always_inline void describe_move_mount(struct cicd_scratch *scratch,
                                                struct cicd_sample_paths *sample,
                                                struct task_struct *task,
                                                const unsigned long *args) {
  sample->mount_flags = args[4];
  sample->operation = CICD_MOUNT_MOVE;
  struct file *file = 0;
  if (args[4] & MOVE_MOUNT_F_EMPTY_PATH) file = file_of(task, (int)args[0]);
  char first = 0;
  bpf_probe_read_user(&first, 1, (const void *)args[1]);
  if (!file || first) {
    append_request_path(scratch, task, (int)args[2], (const void *)args[3], &sample->path,
                        &sample->base);
    append_request_path(scratch, task, (int)args[0], (const void *)args[1], &sample->other,
                        &sample->other_base);
    return;
  }
  /* By now the descriptor's mount is where it was moved to. */
  struct vfsmount *vfs = BPF_CORE_READ(file, f_path.mnt);
  append_path(scratch, vfs, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(task, fs),
              &sample->path);
  append_mount_source(scratch, vfs, &sample->other);
  if (!(BPF_CORE_READ(file, f_mode) & FMODE_NEED_UNMOUNT)) return;
  bool is_part = sample->other.flags & CICD_STRING_COMPONENTS;
  sample->operation = is_part ? CICD_MOUNT_BIND : CICD_MOUNT_NEW;
}

/* False for a mount that is nowhere yet: what is set there shows when it is moved. */
static __always_inline bool describe_setattr(struct cicd_scratch *scratch,
                                             struct cicd_sample_paths *sample,
                                             struct task_struct *task, const unsigned long *args) {
  struct file *file = 0;
  if (args[2] & AT_EMPTY_PATH) file = file_of(task, (int)args[0]);
  if (file && (BPF_CORE_READ(file, f_mode) & FMODE_NEED_UNMOUNT)) {
    struct mount *mount = mount_of(BPF_CORE_READ(file, f_path.mnt));
    if (BPF_CORE_READ(mount, mnt_parent) == mount) return false;
  }
  __u64 attributes[3] = {}; /* to set, to clear, propagation */
  bpf_probe_read_user(attributes, sizeof(attributes), (const void *)args[3]);
  sample->mount_flags = args[2];
  sample->operation = attributes[0] | attributes[1] ? CICD_MOUNT_REMOUNT : CICD_MOUNT_PROPAGATION;
  append_request_path(scratch, task, (int)args[0], (const void *)args[1], &sample->path,
                      &sample->base);
  return true;
}

static __always_inline bool describe(struct cicd_scratch *scratch, struct cicd_sample_paths *sample,
                                     long number, struct task_struct *task,
                                     const unsigned long *args) {
  if (number == NR_MOUNT) {
    describe_mount(scratch, sample, task, args);
  } else if (number == NR_UMOUNT2) {
    sample->mount_flags = args[1];
    sample->operation = CICD_MOUNT_UMOUNT;
    append_request_path(scratch, task, AT_FDCWD, (const void *)args[0], &sample->path,
                        &sample->base);
  } else if (number == NR_PIVOT_ROOT) {
    sample->operation = CICD_MOUNT_PIVOT_ROOT;
    append_request_path(scratch, task, AT_FDCWD, (const void *)args[1], &sample->path,
                        &sample->base);
    append_request_path(scratch, task, AT_FDCWD, (const void *)args[0], &sample->other,
                        &sample->other_base);
  } else if (number == NR_MOVE_MOUNT) {
    describe_move_mount(scratch, sample, task, args);
  } else {
    return describe_setattr(scratch, sample, task, args);
  }
  return true;
}

static __always_inline void emit_mount(struct cicd_scratch *scratch, long number,
                                       const unsigned long *args, __u32 slot) {
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_paths *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_MOUNT, 0, 0, slot, task);
  scratch->position = sizeof(*sample);
  if (!describe(scratch, sample, number, task, args)) return;
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->header.size = size;
  emit_control(sample, size, slot, CICD_SAMPLE_MOUNT);
}

SEC("tp/syscalls/sys_exit_mount")
int mount_changed(struct trace_event_raw_sys_exit *ctx) {
  if (ctx->ret < 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[6];
  struct pt_regs *regs = entry_registers();
  syscall_args(regs, args);
  syscall_late_args(regs, args + 3);
  emit_mount(scratch_memory(), (int)ctx->id, args, slot);
  return 0;
}

static __always_inline void mount_left(void *ctx, long number) {
  if (call_result(ctx) < 0) return;
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  struct cicd_scratch *scratch = claim_scratch();
  emit_mount(scratch, number, args, slot);
  if (scratch) release_scratch(scratch);
}

CICD_CALL_PROGRAM(mount_done, mount_left(ctx, NR_MOUNT))
CICD_CALL_PROGRAM(mount_done32, mount_left(ctx, NR_MOUNT))
CICD_CALL_PROGRAM(umount_done, mount_left(ctx, NR_UMOUNT2))
CICD_CALL_PROGRAM(umount_done32, mount_left(ctx, NR_UMOUNT2))
CICD_CALL_PROGRAM(pivot_root_done, mount_left(ctx, NR_PIVOT_ROOT))
CICD_CALL_PROGRAM(pivot_root_done32, mount_left(ctx, NR_PIVOT_ROOT))
CICD_CALL_PROGRAM(move_mount_done, mount_left(ctx, NR_MOVE_MOUNT))
CICD_CALL_PROGRAM(move_mount_done32, mount_left(ctx, NR_MOVE_MOUNT))
CICD_CALL_PROGRAM(mount_setattr_done, mount_left(ctx, NR_MOUNT_SETATTR))
CICD_CALL_PROGRAM(mount_setattr_done32, mount_left(ctx, NR_MOUNT_SETATTR))
