/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples of files, made when a call returns: opens, truncations, and names that were removed,
 * moved and made. The programs differ in where they find the arguments (file_open.bpf.c,
 * file_change.bpf.c, strict.bpf.c); what becomes of them is here, once. All into the bulk ring.
 */
#ifndef CICD_FILE_SAMPLE_H
#define CICD_FILE_SAMPLE_H

#include "file_facts.h"
#include "file_of.h"
#include "repeated_open.h"
#include "request_path.h"
#include "track.h"

#define FMODE_READ 1
#define FMODE_WRITE 2
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define EINTR 4
#define ERESTARTSYS 512
#define O_ACCMODE 3
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define AT_REMOVEDIR 0x200
#define AT_SYMLINK_FOLLOW 0x400
#define RENAME_EXCHANGE 2

/* What the caller of an open asked for. */
struct open_request {
  const void *path;        /* user memory; null for open_by_handle_at */
  const void *kernel_path; /* what the kernel has read of it, where that is known */
  int directory;
  __u32 flags;
  __u16 call; /* enum cicd_open_call */
};

/* What the caller asked for; the members of cicd_sample_paths have the same names. */
struct names {
  __u16 type; /* enum cicd_sample_type */
  __u16 flags;
  int directory;
  int other_directory;
  const void *path; /* user memory, as is `other` */
  const void *other;
};

/* False: it is lost, which is counted. */
static __always_inline bool emit_scratch(struct cicd_scratch *scratch,
                                         struct cicd_sample_header *header) {
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(header->slot, CICD_LOSS_SCRATCH);
    return false;
  }
  header->size = size;
  return emit_bulk(header, size, header->slot, header->type);
}

static __always_inline void describe_file(struct cicd_scratch *scratch,
                                          struct cicd_sample_open *sample,
                                          const struct file_facts *file, struct task_struct *task) {
  if (file->mode & FMODE_READ) sample->header.flags |= CICD_OPEN_READ;
  if (file->mode & FMODE_WRITE) sample->header.flags |= CICD_OPEN_WRITE;
  if ((file->inode_mode & S_IFMT) == S_IFDIR) sample->header.flags |= CICD_OPEN_DIRECTORY;
  sample->inode = file->inode_number;
  sample->device = file->device;
  append_path(scratch, file->mount, file->dentry, OF_CURRENT(task, fs), &sample->path);
}

static __always_inline void flags_from_request(struct cicd_sample_open *sample) {
  __u32 access = sample->open_flags & O_ACCMODE;
  if (access != O_WRONLY) sample->header.flags |= CICD_OPEN_READ;
  if (access == O_WRONLY || access == O_RDWR) sample->header.flags |= CICD_OPEN_WRITE;
}

/* An open of a file, unless it says nothing new. */
static __always_inline void emit_new_open(struct cicd_scratch *scratch,
                                          struct cicd_sample_open *sample) {
  __u64 signature = signature_of_open(scratch, sample);
  __u64 *place = place_of_open(signature);
  if (place && *(volatile __u64 *)place == signature) {
    count_loss(sample->header.slot, CICD_LOSS_REPEATED_OPEN);
    return;
  }
  if (emit_scratch(scratch, &sample->header) && place) *(volatile __u64 *)place = signature;
}

/* `file`: what came out, or null: it failed, or it is not known. `result` is an error or not. */
static __always_inline void emit_open_of(struct cicd_scratch *scratch,
                                         const struct open_request *request, struct file *file,
                                         long result, __u32 slot, struct file_facts *facts) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_open *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_OPEN, 0, 0, slot, task);
  sample->open_flags = request->flags;
  sample->call = request->call;
  scratch->position = sizeof(*sample);

  if (file) {
    read_file(file, facts);
    read_inode(facts);
    describe_file(scratch, sample, facts, task);
    emit_new_open(scratch, sample);
  } else {
    if (result < 0) {
      /* A call that a signal broke off, before it is restarted or given up. */
      sample->error = -result >= ERESTARTSYS ? EINTR : -result;
    } else {
      sample->header.flags |= CICD_OPEN_UNRESOLVED;
    }
    flags_from_request(sample);
    bool is_user = !request->kernel_path;
    append_named_path(scratch, task, request->directory,
                      is_user ? request->path : request->kernel_path, is_user, &sample->path,
                      &sample->base);
    emit_scratch(scratch, &sample->header);
  }
}

/*
 * Of an open that returned a descriptor. False: no file came out, or another thread took its
 * descriptor.
 */
static __always_inline bool emit_open(struct cicd_scratch *scratch,
                                      const struct open_request *request, long result, __u32 slot,
                                      struct file_facts *facts) {
  struct file *file = result >= 0 ? file_of_current(result) : 0;
  emit_open_of(scratch, request, file, result, slot, facts);
  return file != 0;
}

static __always_inline void emit_names(struct cicd_scratch *scratch, const struct names *names,
                                       __u32 slot) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_paths *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, names->type, names->flags, 0, slot, task);
  scratch->position = sizeof(*sample);
  append_request_path(scratch, task, names->directory, names->path, &sample->path, &sample->base);
  if (names->flags & CICD_PATHS_SYMLINK) {
    append_user_string(scratch, names->other, &sample->other);
  } else if (names->type != CICD_SAMPLE_REMOVE) {
    append_request_path(scratch, task, names->other_directory, names->other, &sample->other,
                        &sample->other_base);
  }
  emit_scratch(scratch, &sample->header);
}

/* truncate(2), by the file that it cut. */
static __always_inline void emit_truncated(struct cicd_scratch *scratch, const struct path *path,
                                           __u32 slot) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_open *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_OPEN, CICD_OPEN_WRITE, 0, slot, task);
  sample->open_flags = O_WRONLY;
  sample->call = CICD_OPEN_TRUNCATE;
  scratch->position = sizeof(*sample);
  struct dentry *dentry = BPF_CORE_READ(path, dentry);
  sample->inode = BPF_CORE_READ(dentry, d_inode, i_ino);
  sample->device = BPF_CORE_READ(dentry, d_sb, s_dev);
  append_path(scratch, BPF_CORE_READ(path, mnt), dentry, BPF_CORE_READ(task, fs), &sample->path);
  emit_scratch(scratch, &sample->header);
}

/* An open that opens nothing: what was written to is all there is to tell. */
static __always_inline void emit_truncate(struct cicd_scratch *scratch, const void *path,
                                          __u32 slot) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cicd_sample_open *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_OPEN, CICD_OPEN_WRITE | CICD_OPEN_UNRESOLVED,
                         0, slot, task);
  sample->open_flags = O_WRONLY;
  sample->call = CICD_OPEN_TRUNCATE;
  scratch->position = sizeof(*sample);
  append_request_path(scratch, task, AT_FDCWD, path, &sample->path, &sample->base);
  emit_scratch(scratch, &sample->header);
}

#endif
