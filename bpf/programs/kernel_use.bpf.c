// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The kernel as a target: modules that are loaded, and the bpf system call. Calls are seen at their
// own functions in the kernel, or where there are no trampolines when they return.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "file_of.h"
#include "path.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define REPEATS_MAX 1024

#if defined(__TARGET_ARCH_x86)
#define NR_FINIT_MODULE 313
#else
#define NR_FINIT_MODULE 273
#endif

#define BPF_COMMAND_PROG_LOAD 5

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct module {
  char name[56];
};
struct bpf_prog___type {
  enum bpf_prog_type type;
};
struct file___private {
  void *private_data;
};
#pragma clang attribute pop

static __always_inline void emit_module(struct cicd_scratch *scratch, __u32 slot, __u32 error) {
  struct cicd_sample_module *sample = (void *)scratch->data;
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->error = error;
  sample->header.size = size;
  emit_control(sample, size, slot, CICD_SAMPLE_MODULE);
}

static __always_inline void begin_module(struct cicd_scratch *scratch, __u32 slot) {
  struct cicd_sample_module *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_MODULE, 0, 0, slot,
                         (void *)bpf_get_current_task());
  scratch->position = sizeof(*sample);
}

/* Not on kernels without modules. */
SEC("tp_btf/module_load")
int BPF_PROG(module_loaded, struct module *module) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct cicd_scratch *scratch = claim_scratch();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  begin_module(scratch, slot);
  struct cicd_sample_module *sample = (void *)scratch->data;
  append_kernel_string(scratch, module->name, CICD_NAME_MAX, &sample->name);
  emit_module(scratch, slot, 0);
  release_scratch(scratch);
  return 0;
}

/* Only attempts that failed; the others are told by module_loaded, with the module's name. */
static __always_inline void module_failed(const unsigned long *args, bool is_file, long result,
                                          __u32 slot) {
  struct cicd_scratch *scratch = claim_scratch();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  begin_module(scratch, slot);
  struct cicd_sample_module *sample = (void *)scratch->data;
  struct task_struct *task = (void *)bpf_get_current_task();
  struct file *file = is_file ? file_of(task, (__u32)args[0]) : 0;
  if (file) {
    append_path(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry),
                BPF_CORE_READ(task, fs), &sample->name);
  }
  emit_module(scratch, slot, -result);
  release_scratch(scratch);
}

SEC("tp/syscalls/sys_exit_finit_module")
int module_refused(struct trace_event_raw_sys_exit *ctx) {
  long result = ctx->ret;
  if (result >= 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  module_failed(args, (int)ctx->id == NR_FINIT_MODULE, result, slot);
  return 0;
}

static __always_inline void module_left(void *ctx, bool is_file) {
  long result = call_result(ctx);
  if (result >= 0) return;
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  module_failed(args, is_file, result, slot);
}

CICD_CALL_PROGRAM(module_done, module_left(ctx, false))
CICD_CALL_PROGRAM(module_done32, module_left(ctx, false))
CICD_CALL_PROGRAM(module_file_done, module_left(ctx, true))
CICD_CALL_PROGRAM(module_file_done32, module_left(ctx, true))

struct bpf_use {
  __u64 start_time_ns;
  __u32 pid;
  __u32 exec_id;
  __u32 command;
  __u32 program_type;
  __u32 error;
  __u32 slot;
};

/* What was reported. What is pushed out is reported again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, REPEATS_MAX);
  __type(key, struct bpf_use);
  __type(value, __u8);
} reported_bpf SEC(".maps");

static __always_inline __u32 type_of_program(const unsigned long *args, long result) {
  if (result >= 0) {
    /* What came out, not what was asked for: the caller can write over that in time. */
    struct file___private *file = (void *)file_of((void *)bpf_get_current_task(), result);
    struct bpf_prog___type *program = file ? BPF_CORE_READ(file, private_data) : 0;
    if (program) return BPF_CORE_READ(program, type);
  }
  __u32 type = 0;
  bpf_probe_read_user(&type, sizeof(type), (const void *)args[1]);
  return type;
}

static __always_inline void bpf_used(const unsigned long *args, long result, __u32 slot) {
  struct cicd_sample_bpf sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_BPF, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.command = (__u32)args[0];
  if (sample.command == BPF_COMMAND_PROG_LOAD) sample.program_type = type_of_program(args, result);
  sample.error = result < 0 ? -result : 0;

  struct bpf_use use = {
      .start_time_ns = sample.header.start_time_ns,
      .pid = sample.header.pid,
      .exec_id = sample.header.exec_id,
      .command = sample.command,
      .program_type = sample.program_type,
      .error = sample.error,
      .slot = slot,
  };
  __u8 one = 1;
  if (bpf_map_lookup_elem(&reported_bpf, &use)) {
    count_loss(slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  /* What found no room is not reported: the next of its kind is. */
  if (!emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_BPF)) return;
  bpf_map_update_elem(&reported_bpf, &use, &one, BPF_ANY);
}

SEC("tp/syscalls/sys_exit_bpf")
int bpf_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  bpf_used(args, ctx->ret, slot);
  return 0;
}

static __always_inline void bpf_left(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  bpf_used(args, call_result(ctx), slot);
}

CICD_CALL_PROGRAM(bpf_done, bpf_left(ctx))
CICD_CALL_PROGRAM(bpf_done32, bpf_left(ctx))
