// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Opens, seen when the system call returns: one program for all five calls. A successful one is
// described by the file that came out; a failed one by what was asked for. The memory of another
// process, opened in procfs, makes a sample of its own besides.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "memory_open.h"
#include "syscall_args.h"

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
