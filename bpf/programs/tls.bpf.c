// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Requests before they are encrypted: what a program gives to OpenSSL and GnuTLS to send. Loaded
// only with --tls-capture. Looked at when the library has taken the bytes, so that a write that is
// tried again is not seen twice. HTTP/2 is binary and not looked into.
#include "call_args.h"
#include "http.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int write_begins(__u64 buffer, __u64 bytes) {
  if (!slot_of_current() || bytes < CICD_HTTP_SHORTEST) return 0;
  char first[CICD_HTTP_METHOD_BYTES];
  if (bpf_probe_read_user(first, sizeof(first), (void *)buffer)) return 0;
  if (http_method_length(first)) call_begins(buffer, bytes, 0);
  return 0;
}

static __always_inline void report(__u32 slot, __u32 source, const struct call_args *args) {
  __u32 index = http_scratch_take();
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (!scratch) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  __u64 length = args->second;
  if (length > CICD_HTTP_PREFIX) length = CICD_HTTP_PREFIX;
  asm volatile("" : "+r"(length));
  if (length < CICD_HTTP_SHORTEST || length > CICD_HTTP_PREFIX ||
      bpf_probe_read_user(scratch->data, length, (void *)args->first)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
  } else {
    scratch->length = length;
    if (http_parse(index)) {
      http_build(index);
      fill_header_of_current(&scratch->sample.header, CICD_SAMPLE_HTTP, 0, 0, slot,
                             (void *)bpf_get_current_task());
      scratch->sample.source = source;
      http_emit(scratch);
    }
  }
  http_scratch_give(index);
}

static __always_inline int write_ends(__u32 source, bool is_written) {
  __u32 slot = slot_of_current();
  if (!slot) return 0;
  __u64 thread = bpf_get_current_pid_tgid();
  /* Writes that begin with no method keep nothing. */
  struct call_args *args = bpf_map_lookup_elem(&calls, &thread);
  if (!args || args->is_done) return 0;
  args->is_done = 1;
  struct call_args copy = *args;
  if (is_written) report(slot, source, &copy);
  return 0;
}

SEC("uprobe")
int openssl_write_called(struct pt_regs *ctx) {
  return write_begins(PT_REGS_PARM2(ctx), (__u32)PT_REGS_PARM3(ctx));
}

SEC("uprobe")
int openssl_write_ex_called(struct pt_regs *ctx) {
  return write_begins(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx));
}

SEC("uretprobe")
int openssl_write_returned(struct pt_regs *ctx) {
  return write_ends(CICD_HTTP_OPENSSL, (int)PT_REGS_RC(ctx) > 0);
}

SEC("uprobe")
int gnutls_send_called(struct pt_regs *ctx) {
  return write_begins(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx));
}

SEC("uretprobe")
int gnutls_send_returned(struct pt_regs *ctx) {
  return write_ends(CICD_HTTP_GNUTLS, (long)PT_REGS_RC(ctx) > 0);
}
