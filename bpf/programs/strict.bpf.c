// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// --strict: calls that the syscall tracepoints never see, because they are 32-bit ones (int 0x80
// works in every 64-bit program; 32-bit ARM programs) or x32 ones. One program at the end of every
// system call of the machine: it is attached only while a job runs and only when asked for.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "request_path.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FMODE_READ 1
#define FMODE_WRITE 2
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define EINTR 4
#define ERESTARTSYS 512
#define O_ACCMODE 3
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define AT_REMOVEDIR 0x200

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
  LINK,
  LINKAT,
  SYMLINK,
  SYMLINKAT,
};

struct request {
  enum call call;
  unsigned long args[4];
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
      return RENAMEAT; /* renameat2 */
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
      return RENAMEAT; /* renameat2 */
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
      return RENAMEAT; /* renameat2 */
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
    return true;
  }
  if (!(number & X32_BIT) || number == (__u32)-1) return false;
  request->call = call_of_x32(number & ~X32_BIT);
  if (request->call == NO_CALL) return false;
  request->args[0] = BPF_CORE_READ(regs, di);
  request->args[1] = BPF_CORE_READ(regs, si);
  request->args[2] = BPF_CORE_READ(regs, dx);
  request->args[3] = BPF_CORE_READ(regs, r10);
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
  return true;
}
#endif

static __always_inline void emit_scratch(struct cicd_scratch *scratch,
                                         struct cicd_sample_header *header) {
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(header->slot, CICD_LOSS_SCRATCH);
    return;
  }
  header->size = size;
  emit_bulk(header, size, header->slot, header->type);
}

static __always_inline void describe_file(struct cicd_scratch *scratch,
                                          struct cicd_sample_open *sample, struct file *file,
                                          struct task_struct *task) {
  __u32 mode = BPF_CORE_READ(file, f_mode);
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  if (mode & FMODE_READ) sample->header.flags |= CICD_OPEN_READ;
  if (mode & FMODE_WRITE) sample->header.flags |= CICD_OPEN_WRITE;
  if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFDIR) {
    sample->header.flags |= CICD_OPEN_DIRECTORY;
  }
  sample->inode = BPF_CORE_READ(inode, i_ino);
  sample->device = BPF_CORE_READ(inode, i_sb, s_dev);
  append_path(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry),
              BPF_CORE_READ(task, fs), &sample->path);
}

static __always_inline __u32 open_flags_of(const struct request *request) {
  if (request->call == OPEN) return (__u32)request->args[1];
  if (request->call == CREAT) return O_CREAT | O_WRONLY | O_TRUNC;
  if (request->call != OPENAT2) return (__u32)request->args[2];
  __u64 flags = 0;
  bpf_probe_read_user(&flags, sizeof(flags), (const void *)request->args[2]);
  return (__u32)flags;
}

/* As open_returned of file_open.bpf.c has it for native calls. */
static __always_inline void emit_open(struct cicd_scratch *scratch, const struct request *request,
                                      long result, __u32 slot) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_open *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_OPEN, 0, 0, slot, task);
  sample->open_flags = open_flags_of(request);
  sample->call = CICD_OPEN_COMPAT;
  scratch->position = sizeof(*sample);
  struct file *file = result >= 0 ? file_of(task, result) : 0;
  if (file) {
    describe_file(scratch, sample, file, task);
    emit_scratch(scratch, &sample->header);
    return;
  }
  if (result < 0) {
    sample->error = -result >= ERESTARTSYS ? EINTR : -result;
  } else {
    sample->header.flags |= CICD_OPEN_UNRESOLVED;
  }
  __u32 access = sample->open_flags & O_ACCMODE;
  if (access != O_WRONLY) sample->header.flags |= CICD_OPEN_READ;
  if (access == O_WRONLY || access == O_RDWR) sample->header.flags |= CICD_OPEN_WRITE;
  bool at = request->call == OPENAT || request->call == OPENAT2 || request->call == OPEN_BY_HANDLE;
  int directory = at ? (int)request->args[0] : AT_FDCWD;
  const void *path = (const void *)(at ? request->args[1] : request->args[0]);
  if (request->call == OPEN_BY_HANDLE) path = 0;
  append_request_path(scratch, task, directory, path, &sample->path, &sample->base);
  emit_scratch(scratch, &sample->header);
}

struct names {
  __u16 type;
  __u16 flags;
  int directory;
  int other_directory;
  const void *path;
  const void *other;
};

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
      names->type = CICD_SAMPLE_MOVE;
      names->directory = (int)args[0];
      names->path = (const void *)args[1];
      names->other_directory = (int)args[2];
      names->other = (const void *)args[3];
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
  }
}

static __always_inline void emit_names(struct cicd_scratch *scratch, const struct request *request,
                                       __u32 slot) {
  struct names names = {};
  read_names(request, &names);
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_paths *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, names.type, names.flags, 0, slot, task);
  scratch->position = sizeof(*sample);
  append_request_path(scratch, task, names.directory, names.path, &sample->path, &sample->base);
  if (names.flags & CICD_PATHS_SYMLINK) {
    append_user_string(scratch, names.other, &sample->other);
  } else if (names.type != CICD_SAMPLE_REMOVE) {
    append_request_path(scratch, task, names.other_directory, names.other, &sample->other,
                        &sample->other_base);
  }
  emit_scratch(scratch, &sample->header);
}

SEC("tp_btf/sys_exit")
int compat_returned(__u64 *ctx) {
  struct request request = {};
  if (!read_request((void *)ctx[0], &request)) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  long result = (long)ctx[1];
  bool opens = request.call <= OPEN_BY_HANDLE;
  if (!opens && result < 0) return 0;
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  if (opens) {
    emit_open(scratch, &request, result, slot);
  } else {
    emit_names(scratch, &request, slot);
  }
  return 0;
}
