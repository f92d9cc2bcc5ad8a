/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who uses a socket. Packets are sent and received in softirq, where the current task is whoever
 * was interrupted; so the process that asks is kept with the socket, when it runs itself: at
 * connect and sendmsg, and when a datagram leaves. Programs on packets have neither
 * bpf_get_current_pid_tgid nor bpf_get_current_cgroup_id on every kernel: the task is read.
 */
#ifndef CICD_SOCKET_OWNER_H
#define CICD_SOCKET_OWNER_H

#include "emit.h"

#define CICD_DNS_PORT 53

static __always_inline struct cicd_actor actor_of_task(struct task_struct *task, __u32 slot) {
  struct cicd_actor actor = {
      .start_time_ns = BPF_CORE_READ(task, group_leader, start_boottime),
      .cgroup_id = cgroup_id_of(task),
      .slot = slot,
      .pid = BPF_CORE_READ(task, tgid),
      .tid = BPF_CORE_READ(task, pid),
      .exec_id = BPF_CORE_READ(task, self_exec_id),
  };
  return actor;
}

/* The same for the task that runs, where programs have the helpers: six reads of the task less. */
static __always_inline void actor_of_current(__u32 slot, struct cicd_actor *actor) {
  struct task_struct *task = (void *)bpf_get_current_task();
  __u64 ids = bpf_get_current_pid_tgid();
  actor->start_time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  actor->cgroup_id = bpf_get_current_cgroup_id();
  actor->slot = slot;
  actor->pid = ids >> 32;
  actor->tid = (__u32)ids;
  actor->exec_id = BPF_CORE_READ(task, self_exec_id);
}

static __always_inline void fill_header_of_actor(struct cicd_sample_header *header, __u16 type,
                                                 __u16 flags, __u32 size,
                                                 const struct cicd_actor *actor) {
  header->size = size;
  header->type = type;
  header->flags = flags;
  header->time_ns = bpf_ktime_get_boot_ns();
  header->start_time_ns = actor->start_time_ns;
  header->cgroup_id = actor->cgroup_id;
  header->slot = actor->slot;
  header->pid = actor->pid;
  header->tid = actor->tid;
  header->exec_id = actor->exec_id;
}

#endif
