// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Cleartext HTTP/1.x requests: the first bytes of TCP segments on their way out, on any port
// (packet.bpf.c).
//
// Who sends? Nearly always the process that is in the middle of its write. A segment can also go
// out later, when an answer made room for it; what runs then is anybody. The lock of the socket
// tells the two apart: it is owned by a process exactly while one is at work on the socket. For the
// rest, connect() leaves a note at the socket (network.bpf.c).
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "http.h"
#include "packet_watch.h"
#include "socket_owner.h"
#include "track.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IPPROTO_TCP 6
#define IPV6_HEADER_BYTES 40
#define TCP_HEADER_BYTES 20

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct {
  int owned;
} socket_lock_t;
struct sock {
  socket_lock_t sk_lock;
};
struct inet_sock {
  struct sock sk;
};
struct inet_connection_sock {
  struct inet_sock icsk_inet;
};
struct tcp_sock {
  struct inet_connection_sock inet_conn;
};
#pragma clang attribute pop

struct segment {
  __u32 sequence;
  __u32 payload;       /* offset of it */
  __u32 payload_bytes; /* 0: nothing to look at */
};

/* Offset of the TCP header; 0: it is something else. Extension headers of IPv6 are not followed. */
static __always_inline __u32 tcp_offset(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  __u8 *ip = data;
  if (data + IPV6_HEADER_BYTES > end) return 0;
  if (ip[0] >> 4 == 4) return ip[9] == IPPROTO_TCP ? (ip[0] & 15) * 4 : 0;
  return ip[0] >> 4 == 6 && ip[6] == IPPROTO_TCP ? IPV6_HEADER_BYTES : 0;
}

static __always_inline void read_segment(struct __sk_buff *skb, struct segment *segment) {
  __u32 offset = tcp_offset(skb);
  if (!offset || skb->len < offset + TCP_HEADER_BYTES + CICD_HTTP_SHORTEST) return;
  __u8 tcp[16];
  if (bpf_skb_load_bytes(skb, offset, tcp, sizeof(tcp))) return;
  segment->sequence = (__u32)tcp[4] << 24 | (__u32)tcp[5] << 16 | (__u32)tcp[6] << 8 | tcp[7];
  segment->payload = offset + (tcp[12] >> 4) * 4;
  if (skb->len >= segment->payload + CICD_HTTP_SHORTEST) {
    segment->payload_bytes = skb->len - segment->payload;
  }
}

/* Whether a process is at work on the socket at this moment; it is the current one then. */
static __always_inline bool is_sent_by_current(struct bpf_sock *sk) {
  struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock(sk);
  if (!tcp) return false;
  return BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.sk_lock.owned) != 0;
}

/* 0: not the work of a job. */
static __always_inline __u32 slot_of_task(struct task_struct *task) {
  __u32 slot = slot_of_cgroup(cgroup_id_of(task));
  return slot ? slot : slot_of_escaped(BPF_CORE_READ(task, tgid));
}

/* Fills the header with who sends. False: not the work of a job. */
static __always_inline bool find_sender(struct bpf_sock *sk, struct cicd_sample_header *header) {
  if (is_sent_by_current(sk)) {
    struct task_struct *task = (void *)bpf_get_current_task();
    __u32 slot = slot_of_task(task);
    if (slot) {
      fill_header(header, CICD_SAMPLE_HTTP, 0, 0, slot, task);
      return true;
    }
  }
  struct cicd_socket_owner *owner = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
  if (!owner || !owner->who.slot) return false;
  fill_header_of_actor(header, CICD_SAMPLE_HTTP, 0, 0, &owner->who);
  return true;
}

static __always_inline void report(struct __sk_buff *skb, struct bpf_sock *sk,
                                   const struct segment *segment,
                                   const struct cicd_sample_header *header) {
  __u32 index = http_scratch_take();
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (!scratch) {
    count_loss(header->slot, CICD_LOSS_SCRATCH);
    return;
  }
  /* There are that many (read_segment). The bounds as a mask, which older kernels understand. */
  __u64 length = segment->payload_bytes;
  if (length > CICD_HTTP_PREFIX) length = CICD_HTTP_PREFIX;
  length -= CICD_HTTP_SHORTEST;
  asm volatile("" : "+r"(length));
  length = (length & (CICD_HTTP_PREFIX - 1)) + CICD_HTTP_SHORTEST;
  if (!bpf_skb_load_bytes(skb, segment->payload, scratch->data, length)) {
    scratch->length = length;
    if (http_parse(index)) {
      http_build(index);
      scratch->sample.header = *header;
      scratch->sample.source = CICD_HTTP_CLEARTEXT;
      scratch->sample.socket_cookie = bpf_get_socket_cookie(skb);
      http_emit(scratch);
    }
  }
  http_scratch_give(index);
}

/* For packets that begin as a request does, which packet_sent has looked at where it can. */
int watch_http_sent(struct __sk_buff *skb) {
  struct segment segment = {};
  read_segment(skb, &segment);
  char first[CICD_HTTP_METHOD_BYTES];
  if (!segment.payload_bytes) return 0;
  if (bpf_skb_load_bytes(skb, segment.payload, first, sizeof(first))) return 0;
  if (!http_method_length(first)) return 0;
  struct bpf_sock *sk = skb->sk;
  if (!sk) return 0;
  sk = bpf_sk_fullsock(sk);
  if (!sk) return 0;
  struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);
  /* Sent before: the stream is at a later place already. */
  if (!tcp || (__s32)(segment.sequence - tcp->snd_nxt) < 0) return 0;
  struct cicd_sample_header header = {};
  if (find_sender(sk, &header)) report(skb, sk, &segment, &header);
  return 0;
}
