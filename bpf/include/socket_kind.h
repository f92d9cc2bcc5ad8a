/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sockets are told, and the telling: by where they are made (socket.bpf.c), and by what asks
 * io_uring for one (io_uring.bpf.c). A socket that both see is told once.
 */
#ifndef CICD_SOCKET_KIND_H
#define CICD_SOCKET_KIND_H

#include "emit.h"
#include "track.h"

#define CICD_SOCKETS_MAX 1024

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_PACKET 10
#define SOCK_TYPE_MASK 0xf
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

struct socket_use {
  __u64 start_time_ns;
  __u32 pid;
  __u32 exec_id;
  __u32 family;
  __u32 type;
  __u32 protocol;
  __u32 error;
  __u32 slot;
  __u32 pad0;
};

/* What was reported. What is pushed out is reported again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, CICD_SOCKETS_MAX);
  __type(key, struct socket_use);
  __type(value, __u8);
} told_sockets SEC(".maps") __weak;

/* Nearly all are; what they do is told when they connect. */
static __always_inline bool is_ordinary(__u32 family, __u32 type, __u32 protocol) {
  if (family == AF_UNIX || family == AF_NETLINK) return true;
  if (family != AF_INET && family != AF_INET6) return false;
  if (type == SOCK_STREAM) {
    return !protocol || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
  }
  return type == SOCK_DGRAM && (!protocol || protocol == IPPROTO_UDP);
}

static __always_inline void tell_socket(__u32 family, __u32 type, __u32 protocol, long result,
                                        __u32 slot) {
  type &= SOCK_TYPE_MASK;
  if (is_ordinary(family, type, protocol)) return;
  /* As it was written before there was a family for it; the kernel makes the one of the other. */
  if (family == AF_INET && type == SOCK_PACKET) family = AF_PACKET;
  struct cicd_sample_socket sample = {};
  fill_header_of_current(&sample.header, CICD_SAMPLE_SOCKET, 0, sizeof(sample), slot,
                         (void *)bpf_get_current_task());
  sample.family = family;
  sample.type = type;
  sample.protocol = protocol;
  sample.error = result < 0 ? -result : 0;
  struct socket_use use = {
      .start_time_ns = sample.header.start_time_ns,
      .pid = sample.header.pid,
      .exec_id = sample.header.exec_id,
      .family = family,
      .type = type,
      .protocol = protocol,
      .error = sample.error,
      .slot = slot,
  };
  __u8 one = 1;
  if (bpf_map_lookup_elem(&told_sockets, &use)) {
    count_loss(slot, CICD_LOSS_REPEATED_ACT);
    return;
  }
  /* What found no room is not told: the next of its kind is. */
  if (!emit_control(&sample, sizeof(sample), slot, CICD_SAMPLE_SOCKET)) return;
  bpf_map_update_elem(&told_sockets, &use, &one, BPF_ANY);
}

#endif
