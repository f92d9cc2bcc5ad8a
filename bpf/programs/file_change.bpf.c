// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names of files that were removed, moved and made, and truncate(2), seen when the call has
// succeeded. Names are those the caller gave: the text is read after the kernel has read it, so a
// second thread can show us another one. A base that the call itself moved (the working directory
// or one above it, named by way of "..") is walked at its new place.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file_sample.h"
#include "syscall_args.h"

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
