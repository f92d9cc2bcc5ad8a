// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names that the C library resolved: getaddrinfo, gethostbyname and gethostbyname2 of glibc and
// musl, which agree on struct addrinfo and struct hostent. Probes of a library fire for every
// process of the host that uses it, so the slot comes first.
#include "call_args.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define NODES_MAX 64 /* of the list of results: one for each address and type of socket */

/* As the C libraries lay them out where a pointer has 64 bits. */
struct user_addrinfo {
  __s32 flags, family, socktype, protocol;
  __u32 addrlen;
  __u32 pad0;
  __u64 addr;
  __u64 canonname;
  __u64 next;
};
struct user_hostent {
  __u64 name;
  __u64 aliases;
  __s32 addrtype;
  __s32 length;
  __u64 addr_list;
};

struct scratch {
  __u32 busy;
  __u32 pad0;
  struct cicd_sample_getaddrinfo sample;
  char name[CICD_NAME_MAX];
};

/* Taken and given back: threads can interrupt each other in a probe (http.h says more). */
#define SCRATCHES 4
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SCRATCHES);
  __type(key, __u32);
  __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_take(void) {
  for (__u32 i = 0; i < SCRATCHES; i++) {
    __u32 index = i;
    struct scratch *scratch = bpf_map_lookup_elem(&scratches, &index);
    if (!scratch) return 0;
    __sync_fetch_and_add(&scratch->busy, 1);
    if (*(volatile __u32 *)&scratch->busy == 1) return scratch;
    __sync_fetch_and_add(&scratch->busy, -1);
  }
  return 0;
}

static __always_inline bool same_address(const struct cicd_address *a,
                                         const struct cicd_address *b) {
  const __u64 *left = (const void *)a->ip;
  const __u64 *right = (const void *)b->ip;
  return a->family == b->family && left[0] == right[0] && left[1] == right[1];
}

/* The same address comes once for each type of socket, in a row. */
static __always_inline void add_address(struct cicd_sample_getaddrinfo *sample,
                                        const struct cicd_address *address) {
  __u32 count = *(volatile __u32 *)&sample->address_count;
  if (count > 0 && count <= CICD_ADDRESSES_MAX &&
      same_address(&sample->addresses[(count - 1) & (CICD_ADDRESSES_MAX - 1)], address)) {
    return;
  }
  if (count < CICD_ADDRESSES_MAX) sample->addresses[count & (CICD_ADDRESSES_MAX - 1)] = *address;
  *(volatile __u32 *)&sample->address_count = count + 1;
}

static __always_inline bool read_ip(struct cicd_address *address, int family, __u64 from4,
                                    __u64 from6) {
  address->family = family;
  if (family == AF_INET) return !bpf_probe_read_user(address->ip, 4, (void *)from4);
  if (family == AF_INET6) return !bpf_probe_read_user(address->ip, 16, (void *)from6);
  return false;
}

static __always_inline void read_addrinfo(struct cicd_sample_getaddrinfo *sample, __u64 list) {
  __u64 at = 0;
  if (bpf_probe_read_user(&at, sizeof(at), (void *)list)) return;
  for (int i = 0; i < NODES_MAX && at; i++) {
    struct user_addrinfo node = {};
    if (bpf_probe_read_user(&node, sizeof(node), (void *)at)) return;
    struct cicd_address address = {};
    /* sockaddr_in has its address at 4, sockaddr_in6 at 8. */
    if (read_ip(&address, node.family, node.addr + 4, node.addr + 8)) {
      add_address(sample, &address);
    }
    at = node.next;
  }
}

static __always_inline void read_hostent(struct cicd_sample_getaddrinfo *sample, __u64 from) {
  struct user_hostent host = {};
  if (bpf_probe_read_user(&host, sizeof(host), (void *)from)) return;
  for (int i = 0; i < NODES_MAX; i++) {
    __u64 at = 0;
    if (bpf_probe_read_user(&at, sizeof(at), (void *)(host.addr_list + i * sizeof(at)))) return;
    if (!at) return;
    struct cicd_address address = {};
    if (read_ip(&address, host.addrtype, at, at)) add_address(sample, &address);
  }
}

static __always_inline void emit(struct scratch *scratch, __u32 slot, __u64 name) {
  struct cicd_sample_getaddrinfo *sample = &scratch->sample;
  long length = bpf_probe_read_user_str(scratch->name, CICD_NAME_MAX, (void *)name);
  if (length < 0) sample->name.flags = CICD_STRING_FAULT;
  if (length == CICD_NAME_MAX) {
    char next = 0;
    bpf_probe_read_user(&next, 1, (void *)(name + CICD_NAME_MAX - 1));
    if (next) sample->name.flags = CICD_STRING_TRUNCATED;
  }
  __u64 bytes = length > 0 ? length - 1 : 0;
  asm volatile("" : "+r"(bytes));
  if (bytes >= CICD_NAME_MAX) bytes = 0;
  sample->name.length = bytes;
  __u64 size = sizeof(*sample) + bytes;
  fill_header_of_current(&sample->header, CICD_SAMPLE_GETADDRINFO, 0, size, slot,
                         (void *)bpf_get_current_task());
  emit_control(sample, size, slot, CICD_SAMPLE_GETADDRINFO);
}

static __always_inline int returned(struct pt_regs *ctx, bool is_hostent) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  struct call_args args;
  if (!call_ends(slot, CICD_SAMPLE_GETADDRINFO, &args) || !args.first) return 0;
  struct scratch *scratch = scratch_take();
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return 0;
  }
  struct cicd_sample_getaddrinfo *sample = &scratch->sample;
  __builtin_memset(sample, 0, sizeof(*sample));
  __u64 result = PT_REGS_RC(ctx);
  if (is_hostent) {
    /* These have their error elsewhere; what matters is that there is one. */
    sample->result = result ? 0 : -1;
    if (result) read_hostent(sample, result);
  } else {
    sample->result = (__s32)result;
    if (!sample->result) read_addrinfo(sample, args.second);
  }
  emit(scratch, slot, args.first);
  __sync_fetch_and_add(&scratch->busy, -1);
  return 0;
}

SEC("uprobe")
int getaddrinfo_called(struct pt_regs *ctx) {
  if (slot_of_current()) call_begins(PT_REGS_PARM1(ctx), PT_REGS_PARM4(ctx), 0);
  return 0;
}

SEC("uretprobe")
int getaddrinfo_returned(struct pt_regs *ctx) { return returned(ctx, false); }

SEC("uprobe")
int gethostbyname_called(struct pt_regs *ctx) {
  if (slot_of_current()) call_begins(PT_REGS_PARM1(ctx), 0, 0);
  return 0;
}

SEC("uretprobe")
int gethostbyname_returned(struct pt_regs *ctx) { return returned(ctx, true); }
