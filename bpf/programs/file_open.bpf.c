// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Opens. A successful one is described by the file that came out; a failed one by what was asked
// for. The memory of another process, opened in procfs, makes a sample of its own besides.
//
// Two backends. At the kernel's own functions (fexit), whatever led there: what comes out of the
// walk to the file is the file itself and the name the kernel has read, so nobody can exchange
// either. Opens that fail before that (no descriptor left, no readable name) are seen when the
// call's own function returns. Without trampolines: when the system call returns, one program for
// all five calls.
#define CICD_SCRATCH_USERS 2
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "memory_open.h"
#include "syscall_args.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool read_request(long number, struct open_request *request) {
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

SEC("tp/syscalls/sys_exit_openat")
int open_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct open_request request = {};
  if (!read_request((int)ctx->id, &request)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct file_facts file = {};
  if (emit_open(scratch, &request, ctx->ret, slot, &file)) {
    memory_opened(&file, slot); /* it builds its sample where the other one was */
  }
  return 0;
}

/* Whose scratch memory is whose: file_opened has its own, the others are rare. */
enum { OF_FILE_OPENED, OF_OTHERS };

#define FMODE_EXEC 0x20 /* among the flags of an open: it is one of exec */
#define LOOKUP_CACHED 0x200000
#define EAGAIN 11
#define O_CLOEXEC 02000000
#if defined(__TARGET_ARCH_x86)
#define O_LARGEFILE 0100000
#else
#define O_LARGEFILE 0400000
#endif
#define THREADS_MAX 8192

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct filename {
  const char *name;
  const char *uptr; /* not any more since 7.0 */
};
struct open_flags {
  int open_flag;
  int lookup_flags;
};
struct open_how {
  __u64 flags;
};
#pragma clang attribute pop

/* Threads whose open has failed on its way to the file, and was reported there. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, THREADS_MAX);
  __type(key, __u64);
  __type(value, __u8);
} reported_failures SEC(".maps");

#if defined(__TARGET_ARCH_x86)
#define COMPAT_OPEN 5
#define COMPAT_CREAT 8
#define COMPAT_OPENAT 295
#else
#define COMPAT_OPEN 5
#define COMPAT_CREAT 8
#define COMPAT_OPENAT 322
#endif
#define COMPAT_OPENAT2 437

/*
 * Which call opens, and with which flags; `kernel_flags` are those of the kernel, which adds some
 * and takes some away. False: it is the kernel itself that opens something.
 */
static __always_inline bool read_origin(struct open_request *request, struct filename *name,
                                        __u32 kernel_flags) {
  struct pt_regs *regs = entry_registers();
  __s32 number;
  enum cicd_call_kind kind = call_in_work(regs, &number);
  request->flags = kernel_flags;
  if (kind == CICD_CALL_NATIVE && read_request(number, request)) {
    /* The flags of openat2 lie in user memory: of them only what the kernel changes. */
    if (request->call == CICD_OPEN_OPENAT2) {
      __u32 changed = O_CLOEXEC | O_LARGEFILE;
      request->flags = (kernel_flags & ~changed) | (request->flags & changed);
    }
    return true;
  }
  bool is_compat_open = number == COMPAT_OPEN || number == COMPAT_CREAT ||
                        number == COMPAT_OPENAT || number == COMPAT_OPENAT2;
  if (kind == CICD_CALL_32BIT && is_compat_open) {
    request->call = CICD_OPEN_COMPAT;
    return true;
  }
  if (name && bpf_core_field_exists(name->uptr) && !BPF_CORE_READ(name, uptr)) return false;
  /* A request that had to wait is carried out when its thread leaves any call. */
  if (kind == CICD_CALL_IO_URING || uses_io_uring()) {
    request->call = CICD_OPEN_IO_URING;
    return true;
  }
  request->call = CICD_OPEN_OTHER;
  return bpf_core_field_exists(name->uptr);
}

/* struct file *do_filp_open(int dfd, struct filename *, const struct open_flags *) */
SEC("fexit")
int file_opened(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct filename *name = (void *)argument(ctx, 1);
  struct open_flags *flags = (void *)argument(ctx, 2);
  unsigned long result = argument(ctx, 3);
  __u32 kernel_flags = BPF_CORE_READ(flags, open_flag);
  /* A name that could not be read comes here as an error, since 7.0. */
  if ((kernel_flags & FMODE_EXEC) || is_error((unsigned long)name)) return 0;
  struct open_request request = {};
  if (!read_origin(&request, name, kernel_flags)) return 0;
  bool failed = is_error(result);
  /* io_uring tries first without waiting; what comes of it is seen the second time. */
  if (failed && request.call == CICD_OPEN_IO_URING && -(long)result == EAGAIN &&
      (BPF_CORE_READ(flags, lookup_flags) & LOOKUP_CACHED)) {
    return 0;
  }
  request.directory = (int)argument(ctx, 0);
  request.kernel_path = BPF_CORE_READ(name, name);
  struct cicd_scratch *scratch = scratch_of(OF_FILE_OPENED);
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct file *file = failed ? 0 : (void *)result;
  struct file_facts facts = {};
  emit_open_of(scratch, &request, file, failed ? (long)result : 0, slot, &facts);
  if (file) {
    memory_opened(&facts, slot); /* it builds its sample where the other one was */
  } else if (request.call < CICD_OPEN_IO_URING) {
    __u64 thread = bpf_get_current_pid_tgid();
    __u8 one = 1;
    bpf_map_update_elem(&reported_failures, &thread, &one, BPF_ANY);
  }
  return 0;
}

/* long do_sys_openat2(int dfd, const char __user *, struct open_how *) */
SEC("fexit")
int open_failed(void *ctx) {
  long result = int_result(ctx, 3);
  if (result >= 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u64 thread = bpf_get_current_pid_tgid();
  if (!bpf_map_delete_elem(&reported_failures, &thread)) return 0;
  struct open_how *how = (void *)argument(ctx, 2);
  struct open_request request = {};
  if (!read_origin(&request, 0, (__u32)BPF_CORE_READ(how, flags))) return 0;
  request.directory = (int)argument(ctx, 0);
  request.path = (const void *)argument(ctx, 1);
  struct cicd_scratch *scratch = claim_scratch_of(OF_OTHERS);
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct file_facts none = {};
  emit_open_of(scratch, &request, 0, result, slot, &none);
  release_scratch(scratch);
  return 0;
}

/* long do_handle_open(int mountdirfd, struct file_handle __user *, int open_flag) */
SEC("fexit")
int handle_opened(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __s32 number;
  bool is_native = call_in_work(entry_registers(), &number) == CICD_CALL_NATIVE;
  struct open_request request = {
      .call = is_native ? CICD_OPEN_BY_HANDLE_AT : CICD_OPEN_COMPAT,
      .directory = (int)argument(ctx, 0),
      .flags = (__u32)argument(ctx, 2),
  };
  struct cicd_scratch *scratch = claim_scratch_of(OF_OTHERS);
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct file_facts facts = {};
  emit_open(scratch, &request, int_result(ctx, 3), slot, &facts);
  release_scratch(scratch);
  return 0;
}
