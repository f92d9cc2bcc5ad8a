/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Arguments of the system call that current is leaving, from the registers it came in with, and
 * the numbers of the system calls we know. Native calls only: 32-bit ones never reach the syscall
 * tracepoints.
 */
#ifndef CICD_SYSCALL_ARGS_H
#define CICD_SYSCALL_ARGS_H

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
  unsigned long r10, r9, r8, bp, bx, cx, dx, si, di, orig_ax;
};
#define CICD_NR_OPEN 2
#define CICD_NR_CREAT 85
#define CICD_NR_OPENAT 257
#define CICD_NR_OPEN_BY_HANDLE_AT 304
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
  __u64 regs[31];
};
struct pt_regs {
  __u64 regs[31];
  __u64 orig_x0;
  __s32 syscallno;
};
#define CICD_NR_OPEN (-1)
#define CICD_NR_CREAT (-1)
#define CICD_NR_OPENAT 56
#define CICD_NR_OPEN_BY_HANDLE_AT 265
#else
#error "unknown architecture"
#endif
#define CICD_NR_OPENAT2 437
#pragma clang attribute pop

/* Helpers younger than the kernel floor are asked for by number; the values are the kernel's. */
enum bpf_func_id___probe { BPF_FUNC_task_pt_regs___probe = 175 };

/*
 * Size of a kernel stack, for kernels without bpf_task_pt_regs (before 5.15). The same on both
 * architectures, except that pages of 64 KiB (arm64) make it as large: not supported that far back.
 */
#define CICD_KERNEL_STACK_BYTES 16384

static __always_inline bool are_registers_typed(void) {
  return bpf_core_enum_value_exists(enum bpf_func_id___probe, BPF_FUNC_task_pt_regs___probe);
}

static __always_inline struct pt_regs *entry_registers(void) {
  if (are_registers_typed()) return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
  struct task_struct *task = (void *)bpf_get_current_task();
  return BPF_CORE_READ(task, stack) + CICD_KERNEL_STACK_BYTES - bpf_core_type_size(struct pt_regs);
}

/* Of entry_registers(): a plain load where the kernel knows what the pointer points to. */
#define REGISTER(regs, member) \
  (are_registers_typed() ? (regs)->member : BPF_CORE_READ(regs, member))

static __always_inline void syscall_args(struct pt_regs *regs, unsigned long args[3]) {
#if defined(__TARGET_ARCH_x86)
  args[0] = REGISTER(regs, di);
  args[1] = REGISTER(regs, si);
  args[2] = REGISTER(regs, dx);
#else
  args[0] = BPF_CORE_READ(regs, orig_x0);
  args[1] = BPF_CORE_READ(regs, regs[1]);
  args[2] = BPF_CORE_READ(regs, regs[2]);
#endif
}

/* Whether current came into the kernel by a system call, not by an interrupt or a fault. */
static __always_inline bool in_system_call(struct pt_regs *regs) {
#if defined(__TARGET_ARCH_x86)
  return (long)REGISTER(regs, orig_ax) >= 0;
#else
  return BPF_CORE_READ(regs, syscallno) >= 0;
#endif
}

/* The fourth to the sixth. */
static __always_inline void syscall_late_args(struct pt_regs *regs, unsigned long args[3]) {
#if defined(__TARGET_ARCH_x86)
  args[0] = REGISTER(regs, r10);
  args[1] = REGISTER(regs, r8);
  args[2] = REGISTER(regs, r9);
#else
  args[0] = BPF_CORE_READ(regs, regs[3]);
  args[1] = BPF_CORE_READ(regs, regs[4]);
  args[2] = BPF_CORE_READ(regs, regs[5]);
#endif
}

#endif
