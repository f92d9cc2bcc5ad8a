// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Namespaces that are made or entered. A clone that succeeded is told by what parent and child
// have, not by what was asked for: a second thread can change the arguments of clone3 in time.
// Two backends: the kernel's own functions, and system calls that return.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "emit.h"
#include "file_of.h"
#include "job_netns.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CLONE_NEWTIME 0x00000080
#define CLONE_NEWNS 0x00020000
#define CLONE_NEWCGROUP 0x02000000
#define CLONE_NEWUTS 0x04000000
#define CLONE_NEWIPC 0x08000000
#define CLONE_NEWUSER 0x10000000
#define CLONE_NEWPID 0x20000000
#define CLONE_NEWNET 0x40000000
#define NEW_NAMESPACES                                                                           \
  (CLONE_NEWTIME | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
   CLONE_NEWPID | CLONE_NEWNET)
#define MAGIC_NAMESPACE 0x6e736673

#define NR_CLONE3 435
#if defined(__TARGET_ARCH_x86)
#define NR_UNSHARE 272
#else
#define NR_UNSHARE 97
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct nsproxy {
  void *uts_ns, *ipc_ns, *mnt_ns, *pid_ns_for_children, *net_ns, *time_ns_for_children, *cgroup_ns;
};
struct cred___ns {
  void *user_ns;
};
struct task_struct___ns {
  struct nsproxy *nsproxy;
  const struct cred___ns *real_cred;
};
struct proc_ns_operations {
  const char *name;
};
struct ns_common {
  const struct proc_ns_operations *ops;
};
struct inode___ns {
  void *i_private;
};
struct kernel_clone_args {
  __u64 flags;
};
#pragma clang attribute pop

static __always_inline void emit_namespaces(__u32 slot, __u32 operation, __u64 flags, long result) {
  /* Of a clone the child is the one that is there; it asks at its exec. */
  if (result >= 0 && flags & CLONE_NEWNET && operation != CICD_NAMESPACE_CLONE) {
    ask_for_resolver(slot, (void *)bpf_get_current_task());
  }
  struct cicd_sample_namespace sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_NAMESPACE, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.flags = flags;
  sample.operation = operation;
  sample.error = result < 0 ? -result : 0;
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_NAMESPACE);
}

/* CLONE_NEW* of a namespace file by the name in its operations; 0: it is none. */
static __always_inline __u64 type_of_namespace(struct file *file) {
  if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != MAGIC_NAMESPACE) return 0;
  struct inode___ns *inode = (void *)BPF_CORE_READ(file, f_inode);
  struct ns_common *ns = BPF_CORE_READ(inode, i_private);
  char name[8] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(ns, ops, name));
  if (name[0] == 'u') return name[1] == 's' ? CLONE_NEWUSER : CLONE_NEWUTS;
  if (name[0] == 'm') return CLONE_NEWNS;
  if (name[0] == 'p') return CLONE_NEWPID;
  if (name[0] == 'n') return CLONE_NEWNET;
  if (name[0] == 'i') return CLONE_NEWIPC;
  if (name[0] == 'c') return CLONE_NEWCGROUP;
  if (name[0] == 't') return CLONE_NEWTIME;
  return 0;
}

SEC("tp/syscalls/sys_exit_unshare")
int unshare_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  __u64 flags = args[0] & NEW_NAMESPACES;
  if (flags) emit_namespaces(slot, CICD_NAMESPACE_UNSHARE, flags, ctx->ret);
  return 0;
}

static __always_inline void setns_done(int fd, __u64 flags, long result, __u32 slot) {
  flags &= NEW_NAMESPACES;
  if (!flags) {
    struct file *file = file_of((void *)bpf_get_current_task(), fd);
    if (file) flags = type_of_namespace(file);
  }
  emit_namespaces(slot, CICD_NAMESPACE_SETNS, flags, result);
}

SEC("tp/syscalls/sys_exit_setns")
int setns_returned(struct trace_event_raw_sys_exit *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  setns_done((int)args[0], (__u32)args[1], ctx->ret, slot);
  return 0;
}

/* Only those that failed; see namespace_fork for the others. */
SEC("tp/syscalls/sys_exit_clone")
int clone_returned(struct trace_event_raw_sys_exit *ctx) {
  if (ctx->ret >= 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  __u64 flags = args[0];
  if (ctx->id == NR_CLONE3) {
    flags = 0;
    bpf_probe_read_user(&flags, sizeof(flags), (const void *)args[0]);
  }
  flags &= NEW_NAMESPACES;
  if (flags) emit_namespaces(slot, CICD_NAMESPACE_CLONE, flags, ctx->ret);
  return 0;
}

static __always_inline __u64 new_namespaces(struct nsproxy *parent, struct nsproxy *child) {
  __u64 flags = 0;
  if (BPF_CORE_READ(parent, uts_ns) != BPF_CORE_READ(child, uts_ns)) flags |= CLONE_NEWUTS;
  if (BPF_CORE_READ(parent, ipc_ns) != BPF_CORE_READ(child, ipc_ns)) flags |= CLONE_NEWIPC;
  if (BPF_CORE_READ(parent, mnt_ns) != BPF_CORE_READ(child, mnt_ns)) flags |= CLONE_NEWNS;
  if (BPF_CORE_READ(parent, net_ns) != BPF_CORE_READ(child, net_ns)) flags |= CLONE_NEWNET;
  if (BPF_CORE_READ(parent, pid_ns_for_children) != BPF_CORE_READ(child, pid_ns_for_children)) {
    flags |= CLONE_NEWPID;
  }
  if (BPF_CORE_READ(parent, time_ns_for_children) != BPF_CORE_READ(child, time_ns_for_children)) {
    flags |= CLONE_NEWTIME;
  }
  if (BPF_CORE_READ(parent, cgroup_ns) != BPF_CORE_READ(child, cgroup_ns)) {
    flags |= CLONE_NEWCGROUP;
  }
  return flags;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(namespace_fork, struct task_struct *parent_task, struct task_struct *child_task) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct task_struct___ns *parent = (void *)parent_task;
  struct task_struct___ns *child = (void *)child_task;
  struct nsproxy *from = BPF_CORE_READ(parent, nsproxy);
  struct nsproxy *to = BPF_CORE_READ(child, nsproxy);
  __u64 flags = from == to ? 0 : new_namespaces(from, to);
  if (BPF_CORE_READ(parent, real_cred, user_ns) != BPF_CORE_READ(child, real_cred, user_ns)) {
    flags |= CLONE_NEWUSER;
  }
  if (flags) emit_namespaces(slot, CICD_NAMESPACE_CLONE, flags, 0);
  return 0;
}

/* int ksys_unshare(unsigned long flags) */
SEC("fexit")
int namespace_unshared(__u64 *ctx) {
  __u32 slot = slot_of_current();
  __u64 flags = ctx[0] & NEW_NAMESPACES;
  if (slot && flags) emit_namespaces(slot, CICD_NAMESPACE_UNSHARE, flags, (int)ctx[1]);
  return 0;
}

static __always_inline void setns_left(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return;
  unsigned long args[6];
  call_args(args);
  setns_done((int)args[0], (__u32)args[1], call_result(ctx), slot);
}

CICD_CALL_PROGRAM(namespace_entered, setns_left(ctx))
CICD_CALL_PROGRAM(namespace_entered32, setns_left(ctx))

/* pid_t kernel_clone(struct kernel_clone_args *); only those that failed */
SEC("fexit")
int clone_failed(__u64 *ctx) {
  int result = (int)ctx[1];
  if (result >= 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct kernel_clone_args *args = (void *)argument(ctx, 0);
  __u64 flags = BPF_CORE_READ(args, flags) & NEW_NAMESPACES;
  if (flags) emit_namespaces(slot, CICD_NAMESPACE_CLONE, flags, result);
  return 0;
}
