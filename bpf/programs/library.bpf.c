// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Libraries that a job maps executable and whose names look like one the sensor puts probes into.
// Told once for each file; what follows (opening it, attaching) is the consumer's work, so these
// samples wake it at once: the process is about to call what is to be watched.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file_of.h"
#include "path.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PROT_EXEC 4
#define LIBRARIES_MAX 4096

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inode___generation {
  __u32 i_generation;
};
#pragma clang attribute pop

/* What tells one file from another; an inode's number alone is used again. */
struct library {
  __u64 inode;
  __u32 device;
  __u32 generation;
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, LIBRARIES_MAX);
  __type(key, struct library);
  __type(value, __u32);
} known_libraries SEC(".maps");

static __always_inline __u32 mapped_fd(struct pt_regs *regs) {
#if defined(__TARGET_ARCH_x86)
  return (__u32)REGISTER(regs, r8);
#else
  return (__u32)BPF_CORE_READ(regs, regs[4]);
#endif
}

static __always_inline bool is_end_of_name(char c) { return c == '.' || c == '-'; }

/* libc.so*, libc-2.*, libc.musl-*, ld-musl-*, libssl and libgnutls with what packagers add. */
static __always_inline bool is_library_name(const char *n) {
  if (n[0] == 'l' && n[1] == 'd' && n[2] == '-') {
    return n[3] == 'm' && n[4] == 'u' && n[5] == 's' && n[6] == 'l' && n[7] == '-';
  }
  if (n[0] != 'l' || n[1] != 'i' || n[2] != 'b') return false;
  if (n[3] == 'c') {
    return (n[4] == '.' && n[5] == 's' && n[6] == 'o') ||
           (n[4] == '.' && n[5] == 'm' && n[6] == 'u' && n[7] == 's' && n[8] == 'l') ||
           (n[4] == '-' && n[5] == '2' && n[6] == '.');
  }
  if (n[3] == 's') return n[4] == 's' && n[5] == 'l' && is_end_of_name(n[6]);
  return n[3] == 'g' && n[4] == 'n' && n[5] == 'u' && n[6] == 't' && n[7] == 'l' && n[8] == 's' &&
         is_end_of_name(n[9]);
}

static __always_inline void report(struct file *file, const struct library *library,
                                   struct task_struct *task, __u32 slot) {
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct cicd_sample_library *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header_of_current(&sample->header, CICD_SAMPLE_LIBRARY, 0, 0, slot, task);
  sample->inode = library->inode;
  sample->device = library->device;
  scratch->position = sizeof(*sample);
  append_path(scratch, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry),
              BPF_CORE_READ(task, fs), &sample->path);
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->header.size = size;
  struct cicd_shared *memory = shared_memory();
  if (memory) memory->consumer = CICD_CONSUMER_AWAKE;
  if (bpf_ringbuf_output(&control_ring, sample, size, BPF_RB_FORCE_WAKEUP)) {
    count_loss(slot, CICD_SAMPLE_LIBRARY);
    bpf_map_delete_elem(&known_libraries, library);
  }
}

static __always_inline void library_seen(struct file *file, __u32 slot) {
  char name[16] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
  if (!is_library_name(name)) return;
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  struct library library = {
      .inode = BPF_CORE_READ(inode, i_ino),
      .device = BPF_CORE_READ(inode, i_sb, s_dev),
      .generation = BPF_CORE_READ((struct inode___generation *)inode, i_generation)};
  __u32 known = 1;
  if (bpf_map_lookup_elem(&known_libraries, &library)) return;
  bpf_map_update_elem(&known_libraries, &library, &known, BPF_ANY);
  report(file, &library, (void *)bpf_get_current_task(), slot);
}

SEC("tp/syscalls/sys_exit_mmap")
int library_mapped(struct trace_event_raw_sys_exit *ctx) {
  struct pt_regs *regs = entry_registers();
  unsigned long args[3];
  syscall_args(regs, args);
  __u32 fd = mapped_fd(regs);
  if (!(args[2] & PROT_EXEC) || (__s32)fd < 0) return 0;
  long result = ctx->ret;
  if (result < 0 && result > -4096) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct file *file = file_of_current(fd);
  if (file) library_seen(file, slot);
  return 0;
}

/*
 * unsigned long vm_mmap_pgoff(file, addr, len, prot, flag, pgoff), also what an exec maps: a musl
 * is a program's interpreter and its C library.
 */
SEC("fexit")
int library_in_memory(__u64 *ctx) {
  if (!(ctx[3] & PROT_EXEC)) return 0;
  __u32 slot = slot_of_current();
  struct file *file = (void *)argument(ctx, 0);
  if (!slot || !file || is_error(ctx[6])) return 0;
  library_seen(file, slot);
  return 0;
}
