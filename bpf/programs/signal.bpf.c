// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signals that a process of a job sends to processes outside of it, by whatever means: kill and its
// relatives, a descriptor with F_SETOWN, a message queue. The tracepoint fires with locks held and
// interrupts off, also in interrupts, where current has nothing to do with it.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "syscall_args.h"
#include "target.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PF_EXITING 4
#define SIGCHLD 17
#define SIGIO 29

/* In place of a pointer to the siginfo. */
#define FROM_CURRENT 0
#define FROM_KERNEL 1

static __always_inline bool on_stack_of(struct task_struct *task, const void *arguments) {
  unsigned long at = (unsigned long)arguments;
  unsigned long low = (unsigned long)BPF_CORE_READ(task, stack);
  unsigned long high = low + CICD_KERNEL_STACK_BYTES;
  /* The verifier takes comparisons of a pointer, but no difference of it. */
  asm volatile("" : "+r"(at), "+r"(low), "+r"(high));
  if (at < low) return false;
  if (at >= high) return false;
  return true;
}

/*
 * Timers and packets of others make signals in interrupts of this task. One that comes while the
 * task is in the kernel runs on another stack than the task's own, where the arguments of a
 * tracepoint lie; one that comes while it is not finds the task in no system call. A task that ends
 * may have come into the kernel by a fault.
 */
static __always_inline bool in_interrupt(struct task_struct *current, const void *arguments) {
  if (!on_stack_of(current, arguments)) return true;
  if (BPF_CORE_READ(current, flags) & PF_EXITING) return false;
  return !in_system_call(entry_registers());
}

/* Not what the kernel tells a parent of its child, nor its own signals. */
static __always_inline bool sent_by(struct task_struct *current, struct task_struct *target,
                                    int signal, struct kernel_siginfo *info) {
  unsigned long form = (unsigned long)info;
  if (form == FROM_CURRENT) return true;
  /* A descriptor with F_SETOWN and without F_SETSIG; a process that does not expect it dies. */
  if (form == FROM_KERNEL) return signal == SIGIO;
  int code = BPF_CORE_READ(info, si_code);
  if (code <= 0) return true;
  if (signal == SIGCHLD) return false;
  return signal != BPF_CORE_READ(current, group_leader, exit_signal) ||
         BPF_CORE_READ(target, tgid) != BPF_CORE_READ(current, group_leader, real_parent, tgid);
}

SEC("tp_btf/signal_generate")
int signal_generated(__u64 *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct task_struct *current = (void *)bpf_get_current_task();
  struct task_struct *target = (void *)ctx[2];
  if (BPF_CORE_READ(target, tgid) == bpf_get_current_pid_tgid() >> 32) return 0;
  if (slot_of_task(target) == slot) return 0;
  int signal = (int)ctx[0];
  if (!sent_by(current, target, signal, (void *)ctx[1])) return 0;
  if (in_interrupt(current, ctx)) return 0;
  struct act act = {.type = CICD_SAMPLE_SIGNAL, .value = (__u32)signal, .target = target};
  emit_act(&act, slot);
  return 0;
}
