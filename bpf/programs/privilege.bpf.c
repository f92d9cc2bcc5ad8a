// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Users, groups and capabilities of a thread that change: by the set*id family, setgroups and
// capset, and by running a program with setuid, setgid or file capabilities. What it had before is
// kept from the entry of the call (these calls and exec only) and compared when it is over; which
// call it was, and what it returned, does not matter then. With trampolines: compared where the
// kernel puts new credentials in force (commit_creds), whatever call wanted that.
//
// Users and groups are those of the initial user namespace. Capabilities that hold only in a user
// namespace of a process's own are none here: unshare(CLONE_NEWUSER) gives all of them to anybody,
// and is a namespace_change.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "emit.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CALLS_MAX 8192 /* threads that are in one of these calls at a time */
#define GROUPS_KEPT 64 /* supplementary groups that are compared */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct {
  __u32 val;
} kuid_t;
typedef struct {
  __u32 val;
} kgid_t;
/* One __u64 since 6.3, two __u32 before, low word first: on little-endian the same bytes. */
typedef struct {
} kernel_cap_t;
struct user_namespace {
  int level;
};
struct group_info {
  int ngroups;
  kgid_t gid[0];
};
struct cred {
  kuid_t uid, suid, euid, fsuid;
  kgid_t gid, sgid, egid, fsgid;
  kernel_cap_t cap_inheritable, cap_permitted, cap_effective;
  struct user_namespace *user_ns;
  struct group_info *group_info;
};
struct task_struct___cred {
  const struct cred *cred;
};
struct linux_binprm___secure {
  unsigned int secureexec : 1;
};
#pragma clang attribute pop

struct credentials {
  __u32 uid, suid, euid, fsuid;
  __u32 gid, sgid, egid, fsgid;
  __u64 inheritable, permitted, effective;
  __u32 group_count;
  __u32 groups_sum;
};

/* By thread. What a call that never came back leaves behind is pushed out. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CALLS_MAX);
  __type(key, __u32);
  __type(value, struct credentials);
} credentials_before SEC(".maps");

/* The same for a program that a thread has begun to run; trampolines only. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CALLS_MAX);
  __type(key, __u32);
  __type(value, struct credentials);
} credentials_before_exec SEC(".maps");

/* Room for the groups while they are summed up; by program, which nothing interrupts. */
struct groups {
  __u32 gid[GROUPS_KEPT];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 3);
  __type(key, __u32);
  __type(value, struct groups);
} group_scratch SEC(".maps");

static __always_inline void read_groups(struct credentials *out, const struct cred *cred,
                                        __u32 program) {
  struct group_info *info = BPF_CORE_READ(cred, group_info);
  out->group_count = BPF_CORE_READ(info, ngroups);
  struct groups *groups = bpf_map_lookup_elem(&group_scratch, &program);
  if (!groups) return;
  __u32 count = out->group_count;
  if (count > GROUPS_KEPT) count = GROUPS_KEPT;
  bpf_probe_read_kernel(groups, count * sizeof(__u32),
                        (void *)info + bpf_core_field_offset(struct group_info, gid));
  __u32 sum = 0;
  for (__u32 i = 0; i < GROUPS_KEPT; i++) {
    if (i >= count) break;
    sum = sum * 16777619 + groups->gid[i] + 1;
  }
  out->groups_sum = sum;
}

static __always_inline const struct cred *own_credentials(void) {
  struct task_struct___cred *task = (void *)bpf_get_current_task();
  return BPF_CORE_READ(task, cred);
}

static __always_inline void read_credentials_of(struct credentials *out, const struct cred *cred,
                                                __u32 program) {
  out->uid = BPF_CORE_READ(cred, uid.val);
  out->suid = BPF_CORE_READ(cred, suid.val);
  out->euid = BPF_CORE_READ(cred, euid.val);
  out->fsuid = BPF_CORE_READ(cred, fsuid.val);
  out->gid = BPF_CORE_READ(cred, gid.val);
  out->sgid = BPF_CORE_READ(cred, sgid.val);
  out->egid = BPF_CORE_READ(cred, egid.val);
  out->fsgid = BPF_CORE_READ(cred, fsgid.val);
  read_groups(out, cred, program);
  if (BPF_CORE_READ(cred, user_ns, level) != 0) return;
  bpf_core_read(&out->inheritable, sizeof(__u64), &cred->cap_inheritable);
  bpf_core_read(&out->permitted, sizeof(__u64), &cred->cap_permitted);
  bpf_core_read(&out->effective, sizeof(__u64), &cred->cap_effective);
}

static __always_inline void read_credentials(struct credentials *out, __u32 program) {
  read_credentials_of(out, own_credentials(), program);
}

/* enum cicd_privilege_kind, or 0 when all is as it was. */
static __always_inline __u32 kind_of_change(const struct credentials *before,
                                            const struct credentials *after) {
  if (before->uid != after->uid || before->suid != after->suid || before->euid != after->euid ||
      before->fsuid != after->fsuid) {
    return CICD_PRIVILEGE_SETUID;
  }
  if (before->gid != after->gid || before->sgid != after->sgid || before->egid != after->egid ||
      before->fsgid != after->fsgid || before->group_count != after->group_count ||
      before->groups_sum != after->groups_sum) {
    return CICD_PRIVILEGE_SETGID;
  }
  if (before->inheritable != after->inheritable || before->permitted != after->permitted ||
      before->effective != after->effective) {
    return CICD_PRIVILEGE_CAPSET;
  }
  return 0;
}

static __always_inline void emit_change(__u32 slot, __u32 kind, const struct credentials *before,
                                        const struct credentials *after) {
  struct cicd_sample_privilege sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_PRIVILEGE, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.capabilities_from = before->effective;
  sample.capabilities_to = after->effective;
  sample.uid_from = before->euid;
  sample.uid_to = after->euid;
  sample.gid_from = before->egid;
  sample.gid_to = after->egid;
  sample.kind = kind;
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_PRIVILEGE);
}

SEC("tp/syscalls/sys_enter_setuid")
int privilege_call(void *ctx) {
  if (!slot_of_current()) return 0;
  __u32 tid = (__u32)bpf_get_current_pid_tgid();
  struct credentials before = {};
  read_credentials(&before, 0);
  bpf_map_update_elem(&credentials_before, &tid, &before, BPF_ANY);
  return 0;
}

SEC("tp/syscalls/sys_exit_setuid")
int privilege_returned(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u32 tid = (__u32)bpf_get_current_pid_tgid();
  struct credentials *before = bpf_map_lookup_elem(&credentials_before, &tid);
  if (!before) {
    /* Pushed out, or it was in the call already when the hooks came. */
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct credentials after = {};
  read_credentials(&after, 0);
  __u32 kind = kind_of_change(before, &after);
  if (kind) emit_change(slot, kind, before, &after);
  bpf_map_delete_elem(&credentials_before, &tid);
  return 0;
}

/* A 32-bit exec has no entry: what the kernel itself says, and the real user it began with. */
static __always_inline void emit_unknown_exec(__u32 slot, const struct credentials *after,
                                              struct linux_binprm___secure *bprm) {
  if (!BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec)) return;
  struct credentials before = {.euid = after->uid, .egid = after->gid};
  emit_change(slot, CICD_PRIVILEGE_EXEC, &before, after);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(privilege_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u32 own = (__u32)bpf_get_current_pid_tgid();
  __u32 tid = old_pid; /* of the thread that called exec; it has the leader's now */
  struct credentials *before = bpf_map_lookup_elem(&credentials_before_exec, &own);
  if (!before) before = bpf_map_lookup_elem(&credentials_before, &tid);
  struct credentials after = {};
  read_credentials(&after, 1);
  if (!before) {
    emit_unknown_exec(slot, &after, (void *)bprm);
    return 0;
  }
  bool gained = (after.effective & ~before->effective) != 0;
  if (gained || before->euid != after.euid || before->egid != after.egid) {
    emit_change(slot, CICD_PRIVILEGE_EXEC, before, &after);
  }
  bpf_map_delete_elem(&credentials_before_exec, &own);
  bpf_map_delete_elem(&credentials_before, &tid);
  return 0;
}

/*
 * int commit_creds(struct cred *new), which never fails. An exec is told when it is over, after the
 * sample of the program itself. A user namespace that is made or entered brings its own
 * capabilities: a namespace_change.
 */
SEC("fentry")
int credentials_committed(void *ctx) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  const struct cred *old = own_credentials();
  const struct cred *new = (void *)argument(ctx, 0);
  if (BPF_CORE_READ(old, user_ns) != BPF_CORE_READ(new, user_ns)) return 0;
  struct credentials before = {};
  read_credentials_of(&before, old, 2);
  if (in_exec()) {
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    if (bpf_map_update_elem(&credentials_before_exec, &tid, &before, BPF_ANY)) {
      count_loss(slot, CICD_LOSS_SCRATCH);
    }
    return 0;
  }
  struct credentials after = {};
  read_credentials_of(&after, new, 2);
  __u32 kind = kind_of_change(&before, &after);
  if (kind) emit_change(slot, kind, &before, &after);
  return 0;
}
