// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a process does to another by system call: ptrace and its relatives, the memory of others,
// signals that were refused (those that were sent: signal.bpf.c).
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "syscall_args.h"
#include "target.h"

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

SEC("tp/syscalls/sys_exit_ptrace")
int ptrace_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct task_struct *current = (void *)bpf_get_current_task();
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  struct act act = {.type = CICD_SAMPLE_PTRACE, .error = error_of(ctx->ret)};
  if ((int)ctx->id == NR_PIDFD_GETFD) {
    act.value = CICD_PTRACE_PIDFD_GETFD;
    act.target = find_task_of_pidfd(current, (__s32)args[0]);
  } else {
    if (!matters(args[0])) return 0;
    act.value = args[0];
    if (act.value == PTRACE_TRACEME) {
      act.target = BPF_CORE_READ(current, real_parent);
    } else {
      act.named = (__u32)args[1];
      act.target = find_task(current, (__s32)args[1]);
    }
  }
  emit_act(&act, slot);
  return 0;
}

SEC("tp/syscalls/sys_exit_process_vm_readv")
int memory_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  struct act act = {
      .type = CICD_SAMPLE_MEMORY,
      .value = (int)ctx->id == NR_PROCESS_VM_READV ? CICD_MEMORY_VM_READV : CICD_MEMORY_VM_WRITEV,
      .error = error_of(ctx->ret),
      .named = (__u32)args[0],
      .target = find_task((void *)bpf_get_current_task(), (__s32)args[0]),
  };
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
