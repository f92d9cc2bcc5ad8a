// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a process does to another by system call: ptrace and its relatives, the memory of others,
// signals that were refused (those that were sent: signal.bpf.c).
//
// Two backends: the functions of the system calls in the kernel, those of 32-bit calls too, and for
// signals where permission is asked for; and the tracepoints at the return of system calls.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "syscall_args.h"
#include "target.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EPERM 1
#define EINTR 4
#define ERESTARTSYS 512

#if defined(__TARGET_ARCH_x86)
#define NR_PROCESS_VM_READV 310
#define NR_TKILL 200
#define NR_TGKILL 234
#define NR_RT_TGSIGQUEUEINFO 297
#else
#define NR_PROCESS_VM_READV 270
#define NR_TKILL 130
#define NR_TGKILL 131
#define NR_RT_TGSIGQUEUEINFO 240
#endif
#define NR_PIDFD_SEND_SIGNAL 424
#define NR_PIDFD_GETFD 438

#define PTRACE_TRACEME 0
#define PTRACE_POKEUSR 6
#define PTRACE_SETREGS 13
#define PTRACE_SETFPREGS 15
#define PTRACE_ATTACH 16
#define PTRACE_SETFPXREGS 19
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206
#define PTRACE_SET_SYSCALL_INFO 0x4212

/* Takes control, or reads or changes memory and registers; not how a tracee is led along. */
static __always_inline bool matters(unsigned long request) {
  return request <= PTRACE_POKEUSR || request == PTRACE_ATTACH || request == PTRACE_SEIZE ||
         request == PTRACE_SETREGS || request == PTRACE_SETFPREGS || request == PTRACE_SETFPXREGS ||
         request == PTRACE_SETREGSET || request == PTRACE_SET_SYSCALL_INFO;
}

static __always_inline __u16 error_of(long result) {
  if (result >= 0) return 0;
  return -result >= ERESTARTSYS ? EINTR : -result;
}

/* False: there is nothing to tell. */
static __always_inline bool read_ptrace(const unsigned long *args, struct act *act) {
  struct task_struct *current = (void *)bpf_get_current_task();
  if (!matters(args[0])) return false;
  act->value = args[0];
  if (act->value == PTRACE_TRACEME) {
    act->target = BPF_CORE_READ(current, real_parent);
  } else {
    act->named = (__u32)args[1];
    act->target = find_task(current, (__s32)args[1]);
  }
  return true;
}

static __always_inline void read_getfd(const unsigned long *args, struct act *act) {
  act->value = CICD_PTRACE_PIDFD_GETFD;
  act->target = find_task_of_pidfd((void *)bpf_get_current_task(), (__s32)args[0]);
}

SEC("tp/syscalls/sys_exit_ptrace")
int ptrace_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  struct act act = {.type = CICD_SAMPLE_PTRACE, .error = error_of(ctx->ret)};
  if ((int)ctx->id == NR_PIDFD_GETFD) {
    read_getfd(args, &act);
  } else if (!read_ptrace(args, &act)) {
    return 0;
  }
  emit_act(&act, slot);
  return 0;
}

static __always_inline void read_memory(const unsigned long *args, __u64 method, struct act *act) {
  act->value = method;
  act->named = (__u32)args[0];
  act->target = find_task((void *)bpf_get_current_task(), (__s32)args[0]);
}

SEC("tp/syscalls/sys_exit_process_vm_readv")
int memory_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  bool is_read = (int)ctx->id == NR_PROCESS_VM_READV;
  struct act act = {.type = CICD_SAMPLE_MEMORY, .error = error_of(ctx->ret)};
  read_memory(args, is_read ? CICD_MEMORY_VM_READV : CICD_MEMORY_VM_WRITEV, &act);
  emit_act(&act, slot);
  return 0;
}

/* Signals that current may not send, and had somebody to be sent to. */
SEC("tp/syscalls/sys_exit_kill")
int kill_returned(struct trace_event_raw_sys_exit *ctx) {
  if (ctx->ret != -EPERM) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct task_struct *current = (void *)bpf_get_current_task();
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  int number = (int)ctx->id;
  struct act act = {.type = CICD_SAMPLE_SIGNAL, .error = EPERM};
  if (number == NR_PIDFD_SEND_SIGNAL) {
    act.value = (__u32)args[1];
    act.target = find_task_of_pidfd(current, (__s32)args[0]);
  } else {
    bool thread = number == NR_TGKILL || number == NR_RT_TGSIGQUEUEINFO;
    act.named = (__u32)(thread ? args[1] : args[0]);
    act.value = (__u32)(thread ? args[2] : args[1]);
    act.target = find_task(current, (__s32)act.named);
  }
  /* Signal 0 is a question, not a signal. */
  if (!act.target || !act.value || slot_of_task(act.target) == slot) return 0;
  emit_act(&act, slot);
  return 0;
}

static __always_inline void ptrace_left(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  struct act act = {.type = CICD_SAMPLE_PTRACE, .error = error_of(call_result(ctx))};
  if (read_ptrace(args, &act)) emit_act_claimed(&act, slot);
}

static __always_inline void getfd_left(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  struct act act = {.type = CICD_SAMPLE_PTRACE, .error = error_of(call_result(ctx))};
  read_getfd(args, &act);
  emit_act_claimed(&act, slot);
}

static __always_inline void memory_left(void *ctx, __u64 method) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  struct act act = {.type = CICD_SAMPLE_MEMORY, .error = error_of(call_result(ctx))};
  read_memory(args, method, &act);
  emit_act_claimed(&act, slot);
}

CICD_CALL_PROGRAM(ptrace_done, ptrace_left(ctx))
CICD_CALL_PROGRAM(ptrace_done32, ptrace_left(ctx))
CICD_CALL_PROGRAM(getfd_done, getfd_left(ctx))
CICD_CALL_PROGRAM(getfd_done32, getfd_left(ctx))
CICD_CALL_PROGRAM(memory_read_done, memory_left(ctx, CICD_MEMORY_VM_READV))
CICD_CALL_PROGRAM(memory_read_done32, memory_left(ctx, CICD_MEMORY_VM_READV))
CICD_CALL_PROGRAM(memory_written_done, memory_left(ctx, CICD_MEMORY_VM_WRITEV))
CICD_CALL_PROGRAM(memory_written_done32, memory_left(ctx, CICD_MEMORY_VM_WRITEV))

#if defined(__TARGET_ARCH_x86)
#define NR_KILL 62
#define NR_RT_SIGQUEUEINFO 129
#else
#define NR_KILL 129
#define NR_RT_SIGQUEUEINFO 138
#endif
/* The numbers of i386 and of 32-bit ARM. */
#define COMPAT_KILL 37
#define COMPAT_RT_SIGQUEUEINFO 178
#define COMPAT_TKILL 238
#if defined(__TARGET_ARCH_x86)
#define COMPAT_TGKILL 270
#define COMPAT_RT_TGSIGQUEUEINFO 335
#else
#define COMPAT_TGKILL 268
#define COMPAT_RT_TGSIGQUEUEINFO 363
#endif

/* Whether the call in work sends to one process; which, as it names it. 0: by a descriptor. */
static __always_inline bool signals_one(__u32 *named) {
  __s32 number;
  enum cicd_call_kind kind = call_in_work(entry_registers(), &number);
  bool is_compat = kind == CICD_CALL_32BIT;
  if (!is_compat && kind != CICD_CALL_NATIVE) return false;
  unsigned long args[6];
  call_args(args);
  if (number == NR_PIDFD_SEND_SIGNAL) return true;
  if (number == (is_compat ? COMPAT_TGKILL : NR_TGKILL) ||
      number == (is_compat ? COMPAT_RT_TGSIGQUEUEINFO : NR_RT_TGSIGQUEUEINFO)) {
    *named = (__u32)args[1];
  } else if (number == (is_compat ? COMPAT_KILL : NR_KILL) ||
             number == (is_compat ? COMPAT_TKILL : NR_TKILL) ||
             number == (is_compat ? COMPAT_RT_SIGQUEUEINFO : NR_RT_SIGQUEUEINFO)) {
    *named = (__u32)args[0];
  }
  return (__s32)*named > 0;
}

/* int check_kill_permission(int sig, struct kernel_siginfo *, struct task_struct *) */
SEC("fexit")
int signal_refused(void *ctx) {
  if (int_result(ctx, 3) != -EPERM) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct act act = {.type = CICD_SAMPLE_SIGNAL,
                    .error = EPERM,
                    .value = (__u32)argument(ctx, 0),
                    .target = (void *)argument(ctx, 2)};
  /* Signal 0 is a question, not a signal. */
  if (!act.value || slot_of_task(act.target) == slot || !signals_one(&act.named)) return 0;
  emit_act_claimed(&act, slot);
  return 0;
}
