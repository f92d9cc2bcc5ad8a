/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses of Unix sockets and the samples of those who use them. A sample is built on the stack;
 * only a relative path needs scratch memory, for the directory it starts in.
 */
#ifndef CICD_UNIX_NAME_H
#define CICD_UNIX_NAME_H

#include "path.h"

#define CICD_AF_UNIX 1
#define CICD_SUN_PATH_OFFSET 2
#define CICD_SUN_PATH_MAX 108

union unix_name {
  char bytes[112];
  __u64 words[14];
};

struct unix_sample {
  struct cicd_sample_unix_connect fixed;
  union unix_name name; /* behind its end only zeros */
};

/* Where a socket's last datagram went, and who sent it. */
struct unix_destination {
  union unix_name name;
  __u32 length;
  __u32 flags;
  __u32 pid;
  __u32 slot;
};

/*
 * Takes the name out of an address of `length` bytes (memory of user or kernel) and into the
 * sample. False when it is no name at all.
 */
static __always_inline bool read_unix_name(struct unix_sample *sample, const void *address,
                                           __u32 length, bool is_user) {
  if (length <= CICD_SUN_PATH_OFFSET || length > CICD_SUN_PATH_OFFSET + CICD_SUN_PATH_MAX) {
    return false;
  }
  length -= CICD_SUN_PATH_OFFSET;
  const char *from = address + CICD_SUN_PATH_OFFSET;
  char first = 0;
  long error =
      is_user ? bpf_probe_read_user(&first, 1, from) : bpf_probe_read_kernel(&first, 1, from);
  if (error) {
    sample->fixed.path.flags = CICD_STRING_FAULT;
    return true;
  }
  if (first) {
    /* Ends with its NUL, or where the address does. */
    __u32 room = (length & 127) + 1;
    if (room > sizeof(sample->name)) return false;
    long read = is_user ? bpf_probe_read_user_str(sample->name.bytes, room, from)
                        : bpf_probe_read_kernel_str(sample->name.bytes, room, from);
    if (read <= 0 || read > CICD_SUN_PATH_MAX + 1) return false;
    sample->fixed.path.length = (__u32)read - 1;
    return true;
  }
  sample->fixed.header.flags |= CICD_UNIX_ABSTRACT;
  __u32 rest = (length - 1) & 127;
  if (rest > sizeof(sample->name)) return false;
  error = is_user ? bpf_probe_read_user(sample->name.bytes, rest, from + 1)
                  : bpf_probe_read_kernel(sample->name.bytes, rest, from + 1);
  if (error) {
    sample->fixed.path.flags = CICD_STRING_FAULT;
  } else {
    sample->fixed.path.length = rest;
  }
  return true;
}

static __always_inline bool same_unix_destination(const struct unix_destination *a,
                                                  const struct unix_destination *b) {
  if (a->length != b->length || a->flags != b->flags || a->pid != b->pid || a->slot != b->slot) {
    return false;
  }
#pragma unroll
  for (int i = 0; i < 14; i++) {
    if (a->name.words[i] != b->name.words[i]) return false;
  }
  return true;
}

static __always_inline void unix_destination_of(const struct unix_sample *sample,
                                                struct unix_destination *to) {
  to->name = sample->name;
  to->length = sample->fixed.path.length;
  to->flags = sample->fixed.header.flags;
  to->pid = sample->fixed.header.pid;
  to->slot = sample->fixed.header.slot;
}

/* False: there was no memory for it; `is_told`: there was room in the ring. */
static __always_inline bool emit_with_base(struct unix_sample *sample, struct cicd_scratch *scratch,
                                           bool *is_told) {
  struct cicd_sample_unix_connect *out = (void *)scratch->data;
  __builtin_memcpy(out, sample, sizeof(*sample));
  scratch->position = sizeof(*out) + sample->fixed.path.length;
  struct task_struct *task = (void *)bpf_get_current_task();
  struct fs_struct *fs = BPF_CORE_READ(task, fs);
  append_path(scratch, BPF_CORE_READ(fs, pwd.mnt), BPF_CORE_READ(fs, pwd.dentry), fs, &out->base);
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) return false;
  out->header.size = size;
  *is_told = emit_control(out, size, out->header.slot, CICD_SAMPLE_UNIX_CONNECT);
  return true;
}

/* Without scratch memory a relative path goes without its directory. False: there was no room. */
static __always_inline bool emit_unix(struct unix_sample *sample, struct cicd_scratch *scratch) {
  __u32 length = sample->fixed.path.length;
  __u32 slot = sample->fixed.header.slot;
  bool is_relative = !(sample->fixed.header.flags & CICD_UNIX_ABSTRACT) && length > 0 &&
                     sample->name.bytes[0] != '/';
  if (is_relative) {
    bool is_told = false;
    if (scratch && emit_with_base(sample, scratch, &is_told)) return is_told;
    count_loss(slot, CICD_LOSS_SCRATCH);
  }
  if (length > CICD_SUN_PATH_MAX) return false;
  sample->fixed.header.size = sizeof(sample->fixed) + length;
  return emit_control(sample, sizeof(sample->fixed) + length, slot, CICD_SAMPLE_UNIX_CONNECT);
}

#endif
