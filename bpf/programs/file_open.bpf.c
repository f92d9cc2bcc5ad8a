// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Opens, seen when the system call returns: one program for all five calls. A successful one is
// described by the file that came out; a failed one by what was asked for. The memory of another
// process, opened in procfs, makes a sample of its own besides.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file_of.h"
#include "request_path.h"
#include "syscall_args.h"
#include "target.h"
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

/* What the caller asked for. */
struct request {
  const void *path; /* user memory; null for open_by_handle_at */
  int directory;
  __u32 flags;
  __u16 call;
};

static __always_inline bool read_request(long number, struct request *request) {
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  request->directory = AT_FDCWD;
  if (number == CICD_NR_OPENAT || number == CICD_NR_OPENAT2) {
    request->call = number == CICD_NR_OPENAT ? CICD_OPEN_OPENAT : CICD_OPEN_OPENAT2;
    request->directory = (int)args[0];
    request->path = (const void *)args[1];
    request->flags = (__u32)args[2];
    if (number == CICD_NR_OPENAT2) {
      __u64 how_flags = 0;
      bpf_probe_read_user(&how_flags, sizeof(how_flags), (const void *)args[2]);
      request->flags = (__u32)how_flags;
    }
  } else if (number == CICD_NR_OPEN) {
    request->call = CICD_OPEN_OPEN;
    request->path = (const void *)args[0];
    request->flags = (__u32)args[1];
  } else if (number == CICD_NR_CREAT) {
    request->call = CICD_OPEN_CREAT;
    request->path = (const void *)args[0];
    request->flags = O_CREAT | O_WRONLY | O_TRUNC;
  } else if (number == CICD_NR_OPEN_BY_HANDLE_AT) {
    request->call = CICD_OPEN_BY_HANDLE_AT;
    request->directory = (int)args[0];
    request->flags = (__u32)args[2];
  } else {
    return false;
  }
  return true;
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
static __always_inline void memory_opened(struct file *file, __u32 slot) {
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  if (BPF_CORE_READ(inode, i_sb, s_magic) != CICD_MAGIC_PROC) return;
  if (!(BPF_CORE_READ(file, f_mode) & (FMODE_READ | FMODE_WRITE))) return;
  struct pid *pid = pid_of_proc_inode(inode);
  if (!pid) return;
  struct act act = {.type = CICD_SAMPLE_MEMORY,
                    .value = memory_method(BPF_CORE_READ(file, f_path.dentry))};
  if (!act.value) return;
  act.target = task_of_pid(pid);
  emit_act(&act, slot);
}

static __always_inline void flags_from_request(struct cicd_sample_open *sample) {
  __u32 access = sample->open_flags & O_ACCMODE;
  if (access != O_WRONLY) sample->header.flags |= CICD_OPEN_READ;
  if (access == O_WRONLY || access == O_RDWR) sample->header.flags |= CICD_OPEN_WRITE;
}

SEC("tp/syscalls/sys_exit_openat")
int open_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct request request = {};
  if (!read_request((int)ctx->id, &request)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  long result = ctx->ret;
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_open *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_OPEN, 0, 0, slot, task);
  sample->open_flags = request.flags;
  sample->call = request.call;
  scratch->position = sizeof(*sample);

  struct file *file = result >= 0 ? file_of(task, result) : 0;
  if (file) {
    describe_file(scratch, sample, file, task);
  } else {
    if (result < 0) {
      /* A call that a signal broke off, before it is restarted or given up. */
      sample->error = -result >= ERESTARTSYS ? EINTR : -result;
    } else {
      sample->header.flags |= CICD_OPEN_UNRESOLVED;
    }
    flags_from_request(sample);
    append_request_path(scratch, task, request.directory, request.path, &sample->path,
                        &sample->base);
  }
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  sample->header.size = size;
  emit_bulk(sample, size, slot, CICD_SAMPLE_OPEN);
  if (file) memory_opened(file, slot); /* it builds its sample where the other one was */
  return 0;
}
