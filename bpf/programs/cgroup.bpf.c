// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Life of cgroups: children of tracked cgroups are tracked from their first moment, and processes
// that are moved out keep their slot. Hierarchies of cgroup v1 fire the same tracepoints with ids
// of their own: only hierarchy 0 (v2) counts.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "emit.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { SCRATCH_MKDIR, SCRATCH_RMDIR, SCRATCH_ATTACH, SCRATCH_COUNT };

struct cgroup_scratch {
  struct cicd_sample_cgroup sample;
  char path[CICD_CGROUP_PATH_MAX];
};

/* One element per program. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SCRATCH_COUNT);
  __type(key, __u32);
  __type(value, struct cgroup_scratch);
} cgroup_scratch SEC(".maps");

struct cgroup_event {
  __u16 type;
  __u16 flags;
  __u32 slot;
  __u64 target;
  __u64 from;
};

static __always_inline void emit_cgroup(__u32 index, const struct cgroup_event *event,
                                        struct task_struct *task, const char *path) {
  struct cgroup_scratch *scratch = bpf_map_lookup_elem(&cgroup_scratch, &index);
  if (!scratch) {
    count_loss(event->slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct cicd_sample_cgroup *sample = &scratch->sample;
  long length = bpf_probe_read_kernel_str(scratch->path, sizeof(scratch->path), path);
  sample->path.flags = 0;
  if (length <= 0) sample->path.flags = CICD_STRING_FAULT;
  if (length == sizeof(scratch->path)) sample->path.flags = CICD_STRING_TRUNCATED;
  __u32 bytes = length > 0 ? (__u32)length - 1 : 0;
  if (bytes > CICD_CGROUP_PATH_MAX) bytes = 0;
  sample->path.length = bytes;
  __u32 size = sizeof(*sample) + bytes;
  fill_header(&sample->header, event->type, event->flags, size, event->slot, task);
  sample->target_cgroup_id = event->target;
  sample->from_cgroup_id = event->from;
  emit_control(scratch, size, event->slot, event->type);
}

static __always_inline __u64 parent_id(struct cgroup *cgroup) {
  return BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
}

/*
 * The slot that a cgroup of this name was staged for (a container of a job is about to start), or
 * 0. Once: the name of a container is never used again. It is noted as made before the look: who
 * stages it looks there afterwards, so that one of the two finds the other.
 */
static __always_inline __u32 take_staged(struct cgroup *cgroup) {
  struct cicd_shared *memory = shared_memory();
  struct cicd_basename name = {};
  const char *text = (const char *)BPF_CORE_READ(cgroup, kn, name);
  if (bpf_probe_read_kernel_str(name.text, sizeof(name.text), text) <= 0) return 0;
  if (name.text[CICD_CONTAINER_NAME_MIN - 1]) {
    struct cicd_made made = {cgroup->kn->id, bpf_ktime_get_boot_ns()};
    bpf_map_update_elem(&made_names, &name, &made, BPF_ANY);
  }
  if (!memory || !memory->staged) return 0;
  __u32 *staged = bpf_map_lookup_elem(&staged_names, &name);
  if (!staged) return 0;
  __u32 slot = *staged;
  if (!bpf_map_delete_elem(&staged_names, &name)) __sync_fetch_and_sub(&memory->staged, 1);
  return slot;
}

/* "NAME.slice:docker:ID", which BuildKit asks of systemd, and gets a folder. */
static __always_inline bool is_build_step(struct cgroup *cgroup) {
  const int least = 20, most = 40; /* of an ID; they have 25 letters and digits */
  const int mark_bytes = sizeof(".slice:docker:") - 1;
  const __u64 first = 0x643a6563696c732e; /* ".slice:d" */
  const __u64 second = 0x3a72656b636f;    /* "ocker:" */
  char text[CICD_BASENAME_MAX];
  const char *name = (const char *)BPF_CORE_READ(cgroup, kn, name);
  int length = bpf_probe_read_kernel_str(text, sizeof(text), name) - 1;
  for (int id = least; id <= most; id++) {
    __u64 mark[2] = {};
    if (length - id <= mark_bytes) return false;
    if (bpf_probe_read_kernel(mark, mark_bytes, name + length - id - mark_bytes)) return false;
    if (mark[0] == first && mark[1] == second) return true;
  }
  return false;
}

/* The slot whose steps of docker build are made in this cgroup at the moment, or 0. */
static __always_inline __u32 slot_of_build(__u64 parent, struct cgroup *cgroup) {
  __u32 *found = bpf_map_lookup_elem(&build_parents, &parent);
  if (!found) return 0;
  __u32 slot = *found;
  if (!(slot & CICD_BUILDS_AMONG_OTHERS)) return slot;
  return is_build_step(cgroup) ? slot & ~CICD_BUILDS_AMONG_OTHERS : 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path) {
  if (cgroup->root->hierarchy_id != 0) return 0;
  __u64 from = parent_id(cgroup);
  __u32 slot = slot_of_cgroup(from);
  if (!slot) slot = slot_of_build(from, cgroup);
  if (!slot) slot = take_staged(cgroup);
  if (!slot) return 0;
  __u64 target = cgroup->kn->id;
  if (bpf_map_update_elem(&tracked_cgroups, &target, &slot, BPF_ANY)) {
    count_loss(slot, CICD_LOSS_TRACKED_FULL);
  }
  struct cgroup_event event = {CICD_SAMPLE_CGROUP_MKDIR, 0, slot, target, from};
  emit_cgroup(SCRATCH_MKDIR, &event, (void *)bpf_get_current_task(), path);
  return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path) {
  if (cgroup->root->hierarchy_id != 0) return 0;
  __u64 target = cgroup->kn->id;
  __u32 slot = slot_of_cgroup(target);
  if (!slot) return 0;
  struct cgroup_event event = {CICD_SAMPLE_CGROUP_RMDIR, 0, slot, target, parent_id(cgroup)};
  emit_cgroup(SCRATCH_RMDIR, &event, (void *)bpf_get_current_task(), path);
  return 0;
}

/* Comes after the move; once for a whole process, with its leader. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attached, struct cgroup *cgroup, const char *path, struct task_struct *task) {
  if (cgroup->root->hierarchy_id != 0) return 0;
  __u64 target = cgroup->kn->id;
  __u32 slot = slot_of_cgroup(target);
  __u32 tgid = task->tgid;
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  __u32 old_slot = member ? member->slot : 0;
  __u64 from = member ? member->cgroup_id : 0;
  if (!slot && !old_slot) return 0;

  __u32 step = member && (!slot || slot == old_slot) ? member->step : 0;
  member_put(task, slot ? slot : old_slot, target, member ? member->exec_id : CICD_MEMBER_MOVED_IN,
             step);
  if (old_slot && slot != old_slot) {
    /* Already outside: one report of the way out is enough. */
    bool left = slot ? true : escaped_put(tgid, old_slot);
    struct cgroup_event event = {CICD_SAMPLE_CGROUP_ATTACH, CICD_ATTACH_ESCAPE, old_slot, target,
                                 from};
    if (left) emit_cgroup(SCRATCH_ATTACH, &event, task, path);
  }
  if (slot) {
    escaped_drop(tgid);
    struct cgroup_event event = {CICD_SAMPLE_CGROUP_ATTACH, 0, slot, target, from};
    emit_cgroup(SCRATCH_ATTACH, &event, task, path);
  }
  return 0;
}
