// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory that becomes executable without a file behind it: anonymous mappings, memfds, /dev/zero,
// and every mprotect with PROT_EXEC (loaders map a library's code with its final protection, so
// that of a file is rare). The first of a program is reported, then each that doubles their
// number: a JIT compiler makes thousands.
//
// Two backends: at the kernel's own functions, with the file itself; and when the system calls
// return, with the file that the descriptor leads to then.
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "file_of.h"
#include "syscall_args.h"
#include "track.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define S_IFMT 0170000
#define S_IFCHR 0020000
#define DEVICE_ZERO ((1 << 20) | 5)
#define PROGRAMS_MAX 4096

struct program_key {
  __u64 start_time_ns;
  __u32 pid;
  __u32 exec_id;
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, PROGRAMS_MAX);
  __type(key, struct program_key);
  __type(value, __u64);
} exec_memory_counts SEC(".maps");

/* How often this program did it, this time included. */
static __always_inline __u64 count_of(const struct cicd_sample_header *header) {
  struct program_key key = {header->start_time_ns, header->pid, header->exec_id};
  __u64 *count = bpf_map_lookup_elem(&exec_memory_counts, &key);
  if (count) {
    __sync_fetch_and_add(count, 1);
    return *count;
  }
  __u64 one = 1;
  bpf_map_update_elem(&exec_memory_counts, &key, &one, BPF_ANY);
  return 1;
}

static __always_inline void emit_exec_memory(__u32 slot, __u32 kind, __u64 address, __u64 bytes,
                                             __u32 protection) {
  struct cicd_sample_exec_memory sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_EXEC_MEMORY, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.count = count_of(&sample.header);
  if (sample.count & (sample.count - 1)) {
    count_loss(slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  sample.address = address;
  sample.size_bytes = bytes;
  sample.kind = kind;
  sample.protection = protection;
  emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_EXEC_MEMORY);
}

SEC("tp/syscalls/sys_exit_mprotect")
int mprotect_returned(struct trace_event_raw_sys_exit *ctx) {
  if (ctx->ret) return 0;
  unsigned long args[3];
  syscall_args(entry_registers(), args);
  if (!(args[2] & PROT_EXEC) || !args[1]) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  emit_exec_memory(slot, CICD_EXEC_MEMORY_MPROTECT, args[0], args[1], (__u32)args[2]);
  return 0;
}

/* What mmap was given besides the first three. */
static __always_inline void mmap_args(struct pt_regs *regs, unsigned long *flags, __u32 *fd) {
#if defined(__TARGET_ARCH_x86)
  *flags = REGISTER(regs, r10);
  *fd = (__u32)REGISTER(regs, r8);
#else
  *flags = BPF_CORE_READ(regs, regs[3]);
  *fd = (__u32)BPF_CORE_READ(regs, regs[4]);
#endif
}

/* A file whose content nobody can look at under a name: a memfd, /dev/zero. */
static __always_inline bool lives_in_memory(struct file *file) {
  struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
  if (BPF_CORE_READ(dentry, d_parent) == dentry) return true;
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFCHR) return false;
  return BPF_CORE_READ(inode, i_rdev) == DEVICE_ZERO;
}

SEC("tp/syscalls/sys_exit_mmap")
int mmap_returned(struct trace_event_raw_sys_exit *ctx) {
  struct pt_regs *regs = entry_registers();
  unsigned long args[3];
  syscall_args(regs, args);
  if (!(args[2] & PROT_EXEC)) return 0;
  long address = ctx->ret;
  if (address < 0 && address > -4096) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  unsigned long flags;
  __u32 fd;
  mmap_args(regs, &flags, &fd);
  if (!(flags & MAP_ANONYMOUS)) {
    /* No file any more: another thread closed the descriptor. Better one too many. */
    struct file *file = file_of_current(fd);
    if (file && !lives_in_memory(file)) return 0;
  }
  emit_exec_memory(slot, CICD_EXEC_MEMORY_MMAP, address, args[1], (__u32)args[2]);
  return 0;
}

/*
 * unsigned long vm_mmap_pgoff(file, addr, len, prot, flag, pgoff). The kernel maps programs with it
 * as well: what an exec maps is told by the exec.
 */
SEC("fexit")
int memory_mapped(__u64 *ctx) {
  if (!(ctx[3] & PROT_EXEC)) return 0;
  __u32 slot = slot_of_current();
  unsigned long address = ctx[6];
  if (!slot || is_error(address) || in_exec()) return 0;
  struct file *file = (void *)argument(ctx, 0);
  if (!(ctx[4] & MAP_ANONYMOUS) && file && !lives_in_memory(file)) return 0;
  emit_exec_memory(slot, CICD_EXEC_MEMORY_MMAP, address, ctx[2], (__u32)ctx[3]);
  return 0;
}

/* int do_mprotect_pkey(start, len, prot, pkey) */
SEC("fexit")
int memory_protected(__u64 *ctx) {
  if (!(ctx[2] & PROT_EXEC) || !ctx[1] || (int)ctx[4] != 0) return 0;
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  emit_exec_memory(slot, CICD_EXEC_MEMORY_MPROTECT, ctx[0], ctx[1], (__u32)ctx[2]);
  return 0;
}
