/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For programs at kernel functions (fentry, fexit): their arguments and results, and by which
 * system call the task came there.
 *
 * Arguments are read as plain numbers, past the types the verifier knows: a function's prototype
 * differs between kernels, and its pointers can be errors. Which function a program is for stands
 * in the loader's catalogue, because its name differs as well.
 */
#ifndef CICD_TRAMPOLINE_H
#define CICD_TRAMPOLINE_H

#include "syscall_args.h"

#define CICD_ERRNO_MAX 4095
#define CICD_PF_IO_WORKER 0x10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct thread_info {
  __u32 status;
};
#define CICD_TS_COMPAT 2
#define CICD_X32_BIT 0x40000000
#define CICD_NR_IO_URING_ENTER 426
#else
struct thread_info {
  unsigned long flags;
};
#define CICD_TIF_32BIT (1UL << 22)
#define CICD_NR_IO_URING_ENTER 426
#endif
struct task_struct___call {
  struct thread_info thread_info;
  void *io_uring;
  unsigned int in_execve : 1;
};
#pragma clang attribute pop

/* Argument `index` of the function; behind the last one its result (fexit). */
static __always_inline unsigned long argument(const void *ctx, __u32 index) {
  unsigned long value = 0;
  bpf_probe_read_kernel(&value, sizeof(value), ctx + index * sizeof(__u64));
  return value;
}

/* A result that the function has as an int: the upper half of the register is anything. */
static __always_inline long int_result(const void *ctx, __u32 arguments) {
  return (int)argument(ctx, arguments);
}

/* Since 5.17; asked for by number, the value is the kernel's. */
enum bpf_func_id___result { BPF_FUNC_get_func_ret___result = 184 };

/* The same where kernels differ in how many arguments the function has; `arguments` before 5.17. */
static __always_inline long int_result_of(void *ctx, __u32 arguments) {
  if (!bpf_core_enum_value_exists(enum bpf_func_id___result, BPF_FUNC_get_func_ret___result)) {
    return int_result(ctx, arguments);
  }
  __u64 value = 0;
  bpf_get_func_ret(ctx, &value);
  return (int)value;
}

static __always_inline bool is_error(unsigned long pointer) {
  return pointer > (unsigned long)-CICD_ERRNO_MAX - 1;
}

enum cicd_call_kind {
  CICD_CALL_NONE, /* an interrupt, a fault, a thread of the kernel */
  CICD_CALL_NATIVE,
  CICD_CALL_32BIT, /* and x32 */
  CICD_CALL_IO_URING,
};

/* The system call in work, and its number in the table of its kind. */
static __always_inline enum cicd_call_kind call_in_work(struct pt_regs *regs, __s32 *number) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct task_struct___call *call = (void *)task;
  *number = -1;
  if (BPF_CORE_READ(task, flags) & CICD_PF_IO_WORKER) return CICD_CALL_IO_URING;
  if (!in_system_call(regs)) return CICD_CALL_NONE;
#if defined(__TARGET_ARCH_x86)
  __u32 called = (__u32)BPF_CORE_READ(regs, orig_ax);
  bool is_compat = BPF_CORE_READ(call, thread_info.status) & CICD_TS_COMPAT;
  *number = called & ~CICD_X32_BIT;
  if (*number == CICD_NR_IO_URING_ENTER) return CICD_CALL_IO_URING; /* the same in all tables */
  return is_compat || (called & CICD_X32_BIT) ? CICD_CALL_32BIT : CICD_CALL_NATIVE;
#else
  *number = BPF_CORE_READ(regs, syscallno);
  if (*number == CICD_NR_IO_URING_ENTER) return CICD_CALL_IO_URING;
  bool is_compat = BPF_CORE_READ(call, thread_info.flags) & CICD_TIF_32BIT;
  return is_compat ? CICD_CALL_32BIT : CICD_CALL_NATIVE;
#endif
}

/* Arguments of the system call in work, also of a 32-bit one. */
static __always_inline void call_args(unsigned long args[6]) {
  struct pt_regs *regs = entry_registers();
#if defined(__TARGET_ARCH_x86)
  struct task_struct___call *call = (void *)bpf_get_current_task();
  if (BPF_CORE_READ(call, thread_info.status) & CICD_TS_COMPAT) {
    args[0] = (__u32)BPF_CORE_READ(regs, bx);
    args[1] = (__u32)BPF_CORE_READ(regs, cx);
    args[2] = (__u32)BPF_CORE_READ(regs, dx);
    args[3] = (__u32)BPF_CORE_READ(regs, si);
    args[4] = (__u32)BPF_CORE_READ(regs, di);
    args[5] = (__u32)BPF_CORE_READ(regs, bp);
    return;
  }
#endif
  syscall_args(regs, args);
  syscall_late_args(regs, args + 3);
}

/* Result of a system call's own function: long __x64_sys_<name>(const struct pt_regs *). */
static __always_inline long call_result(const void *ctx) { return (long)argument(ctx, 1); }

/*
 * A program at the return of such a function. A 32-bit call has one of its own; the programs of the
 * two differ in their names only.
 */
#define CICD_CALL_PROGRAM(name, body) \
  SEC("fexit")                        \
  int name(void *ctx) {               \
    body;                             \
    return 0;                         \
  }

static __always_inline bool uses_io_uring(void) {
  struct task_struct___call *call = (void *)bpf_get_current_task();
  return BPF_CORE_READ(call, io_uring) != 0;
}

static __always_inline bool in_exec(void) {
  struct task_struct___call *call = (void *)bpf_get_current_task();
  return BPF_CORE_READ_BITFIELD_PROBED(call, in_execve);
}

#endif
