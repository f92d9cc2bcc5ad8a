// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is asked of io_uring instead of the system calls: files by name, and the network. Seen when
// a request has been read from the ring and before it is carried out, in the thread that submits
// it or in the thread of the process that the kernel made for that (SQPOLL).
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "request_path.h"
#include "socket_kind.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define REPEATS_MAX 1024

enum {
  OP_SENDMSG = 9,
  OP_CONNECT = 16,
  OP_OPENAT = 18,
  OP_SEND = 26,
  OP_OPENAT2 = 28,
  OP_RENAMEAT = 35,
  OP_UNLINKAT = 36,
  OP_MKDIRAT = 37,
  OP_SYMLINKAT = 38,
  OP_LINKAT = 39,
  OP_SOCKET = 45,
  OP_SEND_ZC = 47,
  OP_SENDMSG_ZC = 48,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct filename {
  const char *name;
};
struct open_how {
  __u64 flags;
};
struct io_cmd_data {
  struct file *file;
};
/* Since 6.0 an operation lies at the start of its request, in a struct of its own. */
struct io_cqe {
  int fd;
};
struct io_kiocb {
  __u8 opcode;
  struct io_cqe cqe;
};
struct io_open {
  int dfd;
  struct filename *filename;
  struct open_how how;
};
struct io_unlink {
  int dfd;
  struct filename *filename;
};
struct io_mkdir {
  int dfd;
  struct filename *filename;
};
struct io_rename {
  int old_dfd;
  struct filename *oldpath;
};
struct io_link {
  int new_dfd;
  struct filename *newpath;
};
/* Since 7.0 the name lies in a struct of its own. */
struct delayed_filename___7_0 {
  struct filename *__incomplete_filename;
};
struct io_open___7_0 {
  struct delayed_filename___7_0 filename;
};
struct io_unlink___7_0 {
  struct delayed_filename___7_0 filename;
};
struct io_mkdir___7_0 {
  struct delayed_filename___7_0 filename;
};
struct io_rename___7_0 {
  struct delayed_filename___7_0 oldpath;
};
struct io_link___7_0 {
  struct delayed_filename___7_0 newpath;
};
struct io_connect {
  const void *addr;
};
struct io_socket {
  int domain;
  int type;
  int protocol;
};
struct io_ring_ctx___5_10 {
  struct task_struct *sqo_task;
};
#pragma clang attribute pop

/* Sends are reported once for each file: a server makes thousands of them. */
struct send {
  __u64 start_time_ns;
  __u64 file;
  __u32 fd; /* or index of a registered file */
  __u32 pad0;
  __u32 pid;
  __u32 exec_id;
  __u32 opcode;
  __u32 slot;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, REPEATS_MAX);
  __type(key, struct send);
  __type(value, __u8);
} reported_sends SEC(".maps");

static __always_inline bool is_send(__u32 opcode) {
  return opcode == OP_SEND || opcode == OP_SENDMSG || opcode == OP_SEND_ZC ||
         opcode == OP_SENDMSG_ZC;
}

static __always_inline bool is_reported(__u32 opcode) {
  return is_send(opcode) || opcode == OP_CONNECT || opcode == OP_OPENAT || opcode == OP_OPENAT2 ||
         opcode == OP_SOCKET || (opcode >= OP_RENAMEAT && opcode <= OP_LINKAT);
}

/* `sample`: its header and opcode are there. */
static __always_inline void emit_send(struct cicd_sample_io_uring *sample,
                                      struct io_kiocb *request) {
  /* The request has its descriptor yet, the file comes when it is carried out. */
  int fd = -1;
  if (request && bpf_core_field_exists(request->cqe.fd)) fd = BPF_CORE_READ(request, cqe.fd);
  struct send key = {
      .start_time_ns = sample->header.start_time_ns,
      .file = (__u64)file_of((void *)bpf_get_current_task(), fd),
      .fd = fd,
      .pid = sample->header.pid,
      .exec_id = sample->header.exec_id,
      .opcode = sample->opcode,
      .slot = sample->header.slot,
  };
  __u8 one = 1;
  if (bpf_map_lookup_elem(&reported_sends, &key)) {
    count_loss(key.slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  sample->header.size = sizeof(*sample);
  /* What found no room is not reported: the next of its kind is. */
  if (!emit_control(sample, sizeof(*sample), key.slot, CICD_SAMPLE_IO_URING)) return;
  bpf_map_update_elem(&reported_sends, &key, &one, BPF_ANY);
}

/* A name of an operation in whichever form this kernel has it; null when in another. */
#define NAME_OF(type, request, member)                                          \
  ({                                                                            \
    struct type *old_form = (request);                                          \
    struct type##___7_0 *new_form = (request);                                  \
    struct filename *found = 0;                                                 \
    if (bpf_core_field_exists(old_form->member)) {                              \
      found = BPF_CORE_READ(old_form, member);                                  \
    } else if (bpf_core_field_exists(new_form->member.__incomplete_filename)) { \
      found = BPF_CORE_READ(new_form, member.__incomplete_filename);            \
    }                                                                           \
    found;                                                                      \
  })

/* The first name of the operation and the descriptor it starts at. */
static __always_inline struct filename *name_of(void *request, __u32 opcode, int *directory,
                                                __u64 *flags) {
  if (opcode == OP_OPENAT || opcode == OP_OPENAT2) {
    struct io_open *open = request;
    if (!bpf_core_field_exists(open->dfd)) return 0;
    *directory = BPF_CORE_READ(open, dfd);
    *flags = BPF_CORE_READ(open, how.flags);
    return NAME_OF(io_open, request, filename);
  }
  if (opcode == OP_UNLINKAT) {
    struct io_unlink *unlink = request;
    if (!bpf_core_field_exists(unlink->dfd)) return 0;
    *directory = BPF_CORE_READ(unlink, dfd);
    return NAME_OF(io_unlink, request, filename);
  }
  if (opcode == OP_MKDIRAT) {
    struct io_mkdir *mkdir = request;
    if (!bpf_core_field_exists(mkdir->dfd)) return 0;
    *directory = BPF_CORE_READ(mkdir, dfd);
    return NAME_OF(io_mkdir, request, filename);
  }
  if (opcode == OP_RENAMEAT) {
    struct io_rename *rename = request;
    if (!bpf_core_field_exists(rename->old_dfd)) return 0;
    *directory = BPF_CORE_READ(rename, old_dfd);
    return NAME_OF(io_rename, request, oldpath);
  }
  if (opcode == OP_LINKAT || opcode == OP_SYMLINKAT) {
    struct io_link *link = request;
    if (!bpf_core_field_exists(link->new_dfd)) return 0;
    *directory = BPF_CORE_READ(link, new_dfd);
    return NAME_OF(io_link, request, newpath);
  }
  return 0;
}

static __always_inline void append_name(struct cicd_scratch *scratch,
                                        struct cicd_sample_io_uring *sample, struct filename *name,
                                        int directory) {
  __u32 begin = scratch->position;
  append_kernel_string(scratch, BPF_CORE_READ(name, name), CICD_PATH_MAX, &sample->path);
  char first = 0;
  if (begin < CICD_SCRATCH_BYTES) first = scratch->data[begin];
  if (sample->path.length > 0 && first == '/') return;
  struct cicd_string none = {};
  append_request_path(scratch, (void *)bpf_get_current_task(), directory, 0, &none, &sample->base);
}

/* As the caller's memory has it now; network_connect tells what the kernel took. */
static __always_inline void read_address(struct cicd_sample_io_uring *sample, void *request) {
  struct io_connect *connect = request;
  struct {
    __u16 family;
    __u16 port;
    __u32 ip4;
    __u8 ip6[16];
  } address = {};
  const void *from = BPF_CORE_READ(connect, addr);
  if (bpf_probe_read_user(&address, 8, from)) return;
  if (address.family == AF_INET) {
    __builtin_memcpy(sample->remote_ip, &address.ip4, 4);
  } else if (address.family == AF_INET6) {
    bpf_probe_read_user(sample->remote_ip, sizeof(sample->remote_ip), from + 8);
  } else {
    return;
  }
  sample->family = address.family;
  sample->remote_port = bpf_ntohs(address.port);
}

/* Before it is made; one that fails is told as if it had not, and where it is made once more. */
static __always_inline void tell_asked_socket(void *request, __u32 slot) {
  struct io_socket *socket = request;
  if (!bpf_core_field_exists(socket->domain)) return;
  tell_socket(BPF_CORE_READ(socket, domain), BPF_CORE_READ(socket, type),
              BPF_CORE_READ(socket, protocol), 0, slot);
}

/* `request`: null where the kernel does not give it in a form we know. */
static __always_inline void emit_request(struct io_kiocb *request, __u32 opcode, __u32 slot,
                                         struct task_struct *owner) {
  struct cicd_scratch *scratch = scratch_memory();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  struct cicd_sample_io_uring *sample = (void *)scratch->data;
  __builtin_memset(sample, 0, sizeof(*sample));
  fill_header(&sample->header, CICD_SAMPLE_IO_URING, 0, 0, slot, owner);
  sample->opcode = opcode;
  if (is_send(opcode)) {
    emit_send(sample, request);
    return;
  }
  scratch->position = sizeof(*sample);
  if (request && opcode == OP_CONNECT) read_address(sample, request);
  if (request && opcode == OP_SOCKET) tell_asked_socket(request, slot);
  int directory = AT_FDCWD;
  __u64 flags = 0;
  struct filename *name = request ? name_of(request, opcode, &directory, &flags) : 0;
  sample->open_flags = flags;
  if (name) append_name(scratch, sample, name, directory);
  __u32 size = scratch->position;
  if (size > CICD_SCRATCH_BYTES) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  sample->header.size = size;
  emit_control(sample, size, slot, CICD_SAMPLE_IO_URING);
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(io_uring_request, struct io_kiocb *request) {
  __u32 opcode = request->opcode;
  if (!is_reported(opcode)) return 0;
  __u32 slot = slot_of_current();
  if (slot) emit_request(request, opcode, slot, (void *)bpf_get_current_task());
  return 0;
}

/*
 * Before 6.3. Its arguments: (request, ...) since 6.0; (ring, request, opcode, ...) since 5.14;
 * (ring, opcode, ...) before. Operations had no structs of their own before 6.0: only the opcode is
 * told there. 5.10 has a kernel thread for SQPOLL, outside of the process.
 */
SEC("tp_btf/io_uring_submit_sqe")
int io_uring_entry(__u64 *ctx) {
  struct io_kiocb *request = 0;
  __u32 opcode;
  if (bpf_core_type_exists(struct io_cmd_data)) {
    request = (void *)ctx[0];
    opcode = BPF_CORE_READ(request, opcode);
  } else if (!bpf_core_field_exists(struct io_ring_ctx___5_10, sqo_task)) {
    opcode = (__u8)ctx[2];
  } else {
    opcode = (__u8)ctx[1];
  }
  if (!is_reported(opcode)) return 0;
  struct task_struct *owner = (void *)bpf_get_current_task();
  __u32 slot = slot_of_current();
  if (!slot && bpf_core_field_exists(struct io_ring_ctx___5_10, sqo_task)) {
    struct io_ring_ctx___5_10 *ring = (void *)ctx[0];
    owner = BPF_CORE_READ(ring, sqo_task);
    if (owner) slot = slot_of_cgroup(cgroup_id_of(owner));
  }
  if (slot) emit_request(request, opcode, slot, owner);
  return 0;
}
