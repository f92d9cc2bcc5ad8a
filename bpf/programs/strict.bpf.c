// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// --strict: calls that the syscall tracepoints never see, because they are 32-bit ones (int 0x80
// works in every 64-bit program; 32-bit ARM programs) or x32 ones. One program at the end of every
// system call of the machine: it is attached only while a job runs and only when asked for.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "memory_open.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct thread_info {
  __u32 status;
};
struct pt_regs___all {
  unsigned long bx, cx, dx, si, di, r8, r10, orig_ax;
};
#else
struct thread_info {
  unsigned long flags;
};
struct pt_regs___all {
  __u64 regs[31];
  __u64 orig_x0;
  __s32 syscallno;
};
#endif
struct task_struct___info {
  struct thread_info thread_info;
};
#pragma clang attribute pop

enum call {
  NO_CALL,
  OPEN,
  CREAT,
  OPENAT,
  OPENAT2,
  OPEN_BY_HANDLE,
  UNLINK,
  RMDIR,
  UNLINKAT,
  RENAME,
  RENAMEAT,
  RENAMEAT2,
  LINK,
  LINKAT,
  SYMLINK,
  SYMLINKAT,
  TRUNCATE,
};

struct request {
  enum call call;
  unsigned long args[5];
};

/* The numbers of i386 and of 32-bit ARM are the same up to 100. */
static __always_inline enum call call_of_compat(__u32 number) {
  switch (number) {
    case 5:
      return OPEN;
    case 8:
      return CREAT;
    case 9:
      return LINK;
    case 10:
      return UNLINK;
    case 38:
      return RENAME;
    case 40:
      return RMDIR;
    case 83:
      return SYMLINK;
    case 92:
    case 193: /* truncate64 */
      return TRUNCATE;
    case 437:
      return OPENAT2;
#if defined(__TARGET_ARCH_x86)
    case 295:
      return OPENAT;
    case 301:
      return UNLINKAT;
    case 302:
      return RENAMEAT;
    case 303:
      return LINKAT;
    case 304:
      return SYMLINKAT;
    case 342:
      return OPEN_BY_HANDLE;
    case 353:
      return RENAMEAT2;
#else
    case 322:
      return OPENAT;
    case 328:
      return UNLINKAT;
    case 329:
      return RENAMEAT;
    case 330:
      return LINKAT;
    case 331:
      return SYMLINKAT;
    case 371:
      return OPEN_BY_HANDLE;
    case 382:
      return RENAMEAT2;
#endif
    default:
      return NO_CALL;
  }
}

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 2
#define X32_BIT 0x40000000

/* x32 has the numbers of the 64-bit calls. */
static __always_inline enum call call_of_x32(__u32 number) {
  switch (number) {
    case 2:
      return OPEN;
    case 76:
      return TRUNCATE;
    case 82:
      return RENAME;
    case 84:
      return RMDIR;
    case 85:
      return CREAT;
    case 86:
      return LINK;
    case 87:
      return UNLINK;
    case 88:
      return SYMLINK;
    case 257:
      return OPENAT;
    case 263:
      return UNLINKAT;
    case 264:
      return RENAMEAT;
    case 265:
      return LINKAT;
    case 266:
      return SYMLINKAT;
    case 304:
      return OPEN_BY_HANDLE;
    case 316:
      return RENAMEAT2;
    case 437:
      return OPENAT2;
    default:
      return NO_CALL;
  }
}

static __always_inline bool read_request(struct pt_regs___all *regs, struct request *request) {
  struct task_struct___info *task = (void *)bpf_get_current_task();
  __u32 number = (__u32)BPF_CORE_READ(regs, orig_ax);
  if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT) {
    request->call = call_of_compat(number);
    if (request->call == NO_CALL) return false;
    request->args[0] = (__u32)BPF_CORE_READ(regs, bx);
    request->args[1] = (__u32)BPF_CORE_READ(regs, cx);
    request->args[2] = (__u32)BPF_CORE_READ(regs, dx);
    request->args[3] = (__u32)BPF_CORE_READ(regs, si);
    request->args[4] = (__u32)BPF_CORE_READ(regs, di);
    return true;
  }
  if (!(number & X32_BIT) || number == (__u32)-1) return false;
  request->call = call_of_x32(number & ~X32_BIT);
  if (request->call == NO_CALL) return false;
  request->args[0] = BPF_CORE_READ(regs, di);
  request->args[1] = BPF_CORE_READ(regs, si);
  request->args[2] = BPF_CORE_READ(regs, dx);
  request->args[3] = BPF_CORE_READ(regs, r10);
  request->args[4] = BPF_CORE_READ(regs, r8);
  return true;
}
#else
#define TIF_32BIT (1UL << 22)

static __always_inline bool read_request(struct pt_regs___all *regs, struct request *request) {
  struct task_struct___info *task = (void *)bpf_get_current_task();
  if (!(BPF_CORE_READ(task, thread_info.flags) & TIF_32BIT)) return false;
  request->call = call_of_compat((__u32)BPF_CORE_READ(regs, syscallno));
  if (request->call == NO_CALL) return false;
  request->args[0] = (__u32)BPF_CORE_READ(regs, orig_x0);
  request->args[1] = (__u32)BPF_CORE_READ(regs, regs[1]);
  request->args[2] = (__u32)BPF_CORE_READ(regs, regs[2]);
  request->args[3] = (__u32)BPF_CORE_READ(regs, regs[3]);
  request->args[4] = (__u32)BPF_CORE_READ(regs, regs[4]);
  return true;
}
#endif

static __always_inline __u32 open_flags_of(const struct request *request) {
  if (request->call == OPEN) return (__u32)request->args[1];
  if (request->call == CREAT) return O_CREAT | O_WRONLY | O_TRUNC;
  if (request->call != OPENAT2) return (__u32)request->args[2];
  __u64 flags = 0;
  bpf_probe_read_user(&flags, sizeof(flags), (const void *)request->args[2]);
  return (__u32)flags;
}

static __always_inline void read_open(const struct request *request, struct open_request *open) {
  bool at = request->call == OPENAT || request->call == OPENAT2 || request->call == OPEN_BY_HANDLE;
  open->directory = at ? (int)request->args[0] : AT_FDCWD;
  open->path = (const void *)(at ? request->args[1] : request->args[0]);
  if (request->call == OPEN_BY_HANDLE) open->path = 0;
  open->flags = open_flags_of(request);
  open->call = CICD_OPEN_COMPAT;
}

static __always_inline void read_names(const struct request *request, struct names *names) {
  const unsigned long *args = request->args;
  names->flags = CICD_PATHS_COMPAT;
  names->directory = AT_FDCWD;
  names->other_directory = AT_FDCWD;
  switch (request->call) {
    case RMDIR:
      names->flags |= CICD_PATHS_FOLDER;
    case UNLINK:
      names->type = CICD_SAMPLE_REMOVE;
      names->path = (const void *)args[0];
      return;
    case UNLINKAT:
      names->type = CICD_SAMPLE_REMOVE;
      names->directory = (int)args[0];
      names->path = (const void *)args[1];
      if (args[2] & AT_REMOVEDIR) names->flags |= CICD_PATHS_FOLDER;
      return;
    case RENAME:
      names->type = CICD_SAMPLE_MOVE;
      names->path = (const void *)args[0];
      names->other = (const void *)args[1];
      return;
    case RENAMEAT:
    case RENAMEAT2:
      names->type = CICD_SAMPLE_MOVE;
      names->directory = (int)args[0];
      names->path = (const void *)args[1];
      names->other_directory = (int)args[2];
      names->other = (const void *)args[3];
      if (request->call == RENAMEAT2 && (args[4] & RENAME_EXCHANGE)) {
        names->flags |= CICD_PATHS_EXCHANGE;
      }
      return;
    case SYMLINK:
      names->flags |= CICD_PATHS_SYMLINK;
    case LINK:
      names->type = CICD_SAMPLE_LINK;
      names->other = (const void *)args[0];
      names->path = (const void *)args[1];
      return;
    case SYMLINKAT:
      names->type = CICD_SAMPLE_LINK;
      names->flags |= CICD_PATHS_SYMLINK;
      names->other = (const void *)args[0];
      names->directory = (int)args[1];
      names->path = (const void *)args[2];
      return;
    default: /* LINKAT */
      names->type = CICD_SAMPLE_LINK;
      names->other_directory = (int)args[0];
      names->other = (const void *)args[1];
      names->directory = (int)args[2];
      names->path = (const void *)args[3];
      if (args[4] & AT_SYMLINK_FOLLOW) names->flags |= CICD_PATHS_FOLLOWED;
  }
}

SEC("tp_btf/sys_exit")
int compat_returned(__u64 *ctx) {
  struct request request = {};
  if (!read_request((void *)ctx[0], &request)) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  /* Some arm64 kernels leave its upper half zero: an error would not be negative. */
  long result = (int)ctx[1];
  bool opens = request.call <= OPEN_BY_HANDLE;
  if (!opens && result < 0) return 0;
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  if (opens) {
    struct open_request open = {};
    read_open(&request, &open);
    struct file_facts file = {};
    if (emit_open(scratch, &open, result, slot, &file)) {
      memory_opened(&file, slot); /* it builds its sample where the other one was */
    }
  } else if (request.call == TRUNCATE) {
    emit_truncate(scratch, (const void *)request.args[0], slot);
  } else {
    struct names names = {};
    read_names(&request, &names);
    emit_names(scratch, &names, slot);
  }
  return 0;
}
