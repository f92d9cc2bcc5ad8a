/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The head of an HTTP/1.x request: method, path and host out of the first bytes that were sent.
 * Nothing else leaves the kernel: the path ends before '?' and '#', credentials before an '@' of
 * an authority are skipped, and of the header lines only Host is looked at.
 *
 * How to use it: http_scratch_take(), put bytes into `data` and their number into `length`,
 * http_parse(), http_build(), emit, http_scratch_give(). All state lives in map memory (path.h
 * says why).
 *
 * Traps: probes in user space can be preempted by another thread on the same CPU, so the scratch
 * memory is taken and given back; who finds none free counts a loss.
 */
#ifndef CICD_HTTP_H
#define CICD_HTTP_H

#include "emit.h"
#include "http_method.h"

#define CICD_HTTP_PREFIX 1024 /* bytes of a request that are looked at */
#define CICD_HTTP_CHUNK 4     /* more costs the verifier much and saves little */
#define CICD_HTTP_SCRATCHES 4

_Static_assert((CICD_HTTP_PREFIX & (CICD_HTTP_PREFIX - 1)) == 0, "it serves as a mask");

enum http_state {
  HTTP_AUTHORITY = 1, /* of an absolute target, or of CONNECT */
  HTTP_PATH,
  HTTP_QUERY,
  HTTP_VERSION,
  HTTP_LINE_END,
  HTTP_LINE_START,
  HTTP_HEADER,
  HTTP_HOST_NAME, /* in "Host:" */
  HTTP_HOST_SPACE,
  HTTP_HOST,
  HTTP_DONE,
};

struct http_scratch {
  __u32 busy;
  __u32 state;
  __u32 length; /* bytes in data */
  __u32 method_length;
  __u32 path_start;
  __u32 path_end;
  __u32 host_start;
  __u32 host_end;
  __u32 needs_version; /* what begins so may be another protocol */
  __u32 has_version;
  __u32 size;  /* of the sample in out */
  __u32 begin; /* of what http_chunk() looks at */
  char data[CICD_HTTP_PREFIX + 16];
  struct cicd_sample_http sample;
  char strings[CICD_HTTP_METHOD_BYTES + CICD_HTTP_PREFIX + CICD_NAME_MAX];
};

#define http_scratches CICD_OWN(http_scratches)
#define http_chunk CICD_OWN(http_chunk)
#define http_parse CICD_OWN(http_parse)
#define http_build CICD_OWN(http_build)

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CICD_HTTP_SCRATCHES);
  __type(key, __u32);
  __type(value, struct http_scratch);
} http_scratches SEC(".maps");

/* A number below CICD_HTTP_SCRATCHES, or that when none is free. */
static __always_inline __u32 http_scratch_take(void) {
  for (__u32 i = 0; i < CICD_HTTP_SCRATCHES; i++) {
    __u32 index = i;
    struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
    if (!scratch) break;
    /* Who sees its own 1 has it alone; two that interrupt each other may both go on looking. */
    __sync_fetch_and_add(&scratch->busy, 1);
    if (*(volatile __u32 *)&scratch->busy == 1) return i;
    __sync_fetch_and_add(&scratch->busy, -1);
  }
  return CICD_HTTP_SCRATCHES;
}

static __always_inline void http_scratch_give(__u32 index) {
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (scratch) __sync_fetch_and_add(&scratch->busy, -1);
}

static __always_inline bool http_ends_path(char c) {
  return c == '?' || c == '#' || c == ' ' || c == '\r' || c == '\n';
}

/* What follows the path or the authority at a byte that ended it. */
static __always_inline __u32 http_after_target(char c) {
  if (c == ' ') return HTTP_VERSION;
  if (c == '\n') return HTTP_LINE_START;
  if (c == '\r') return HTTP_LINE_END;
  return HTTP_QUERY;
}

/* Bytes that an authority may have (RFC 3986, 3.2), without those that end it. */
static __always_inline bool http_in_authority(char c) {
  return c > ' ' && c < 127 && c != '{' && c != '}' && c != '"' && c != '<' && c != '>' &&
         c != '\\' && c != '^' && c != '`' && c != '|';
}

static __always_inline bool http_version_at(const struct http_scratch *scratch, __u32 i) {
  return i + 7 <= scratch->length && HTTP_IS("HTTP/1.", scratch->data + i);
}

/* The letters of "Host:" in either case. */
static __always_inline bool http_host_at(const struct http_scratch *scratch, __u32 i) {
  const char *at = scratch->data + i;
  return i + 5 <= scratch->length && (at[0] | 32) == 'h' && (at[1] | 32) == 'o' &&
         (at[2] | 32) == 's' && (at[3] | 32) == 't' && at[4] == ':';
}

static __always_inline __u32 http_authority_byte(struct http_scratch *scratch, __u32 i, char c) {
  if (c == '@') {
    scratch->host_start = i + 1;
    return HTTP_AUTHORITY;
  }
  if (c == '/') {
    scratch->host_end = i;
    scratch->path_start = i;
    return HTTP_PATH;
  }
  if (http_ends_path(c)) {
    scratch->host_end = i;
    return http_after_target(c);
  }
  /* What no authority has: this is another protocol. */
  return http_in_authority(c) ? HTTP_AUTHORITY : HTTP_DONE;
}

static __always_inline __u32 http_host_byte(struct http_scratch *scratch, __u32 i, char c) {
  if (c == '@') {
    scratch->host_start = i + 1;
    return HTTP_HOST;
  }
  if (c == '\t' || c == '/' || http_ends_path(c)) {
    scratch->host_end = i;
    return HTTP_DONE;
  }
  return HTTP_HOST;
}

/* The state after byte `c` at `i`. */
static __always_inline __u32 http_next_state(struct http_scratch *scratch, __u32 i, char c) {
  switch (*(volatile __u32 *)&scratch->state) {
    case HTTP_AUTHORITY:
      return http_authority_byte(scratch, i, c);
    case HTTP_PATH:
      if (!http_ends_path(c)) return HTTP_PATH;
      scratch->path_end = i;
      return http_after_target(c);
    case HTTP_QUERY:
      return c == ' ' || c == '\r' || c == '\n' ? http_after_target(c) : HTTP_QUERY;
    case HTTP_VERSION:
      if (http_version_at(scratch, i)) {
        scratch->has_version = 1;
        /* The target named the host; a Host line could only say the same. */
        if (scratch->host_end) return HTTP_DONE;
      }
      return c == '\n' ? HTTP_LINE_START : HTTP_LINE_END;
    case HTTP_LINE_END:
    case HTTP_HEADER:
      return c == '\n' ? HTTP_LINE_START : HTTP_HEADER;
    case HTTP_LINE_START:
      if (c == '\r' || c == '\n') return HTTP_DONE;
      return http_host_at(scratch, i) ? HTTP_HOST_NAME : HTTP_HEADER;
    case HTTP_HOST_NAME:
      return c == ':' ? HTTP_HOST_SPACE : HTTP_HOST_NAME;
    case HTTP_HOST_SPACE:
      if (c == ' ' || c == '\t') return HTTP_HOST_SPACE;
      scratch->host_start = i;
      return http_host_byte(scratch, i, c);
    case HTTP_HOST:
      return http_host_byte(scratch, i, c);
    default:
      return HTTP_DONE;
  }
}

/* Looks at the target's first bytes. Returns where to go on, 0 when this is no request. */
static __always_inline __u32 http_begin(struct http_scratch *scratch) {
  __u32 method = http_method_length(scratch->data);
  if (!method) return 0;
  scratch->method_length = method;
  scratch->path_start = scratch->path_end = scratch->host_start = scratch->host_end = 0;
  scratch->needs_version = scratch->has_version = 0;
  __u32 target = method + 1;
  const char *at = scratch->data + (target & 15);
  if (HTTP_IS("CONNECT ", scratch->data)) {
    scratch->needs_version = 1;
    scratch->state = HTTP_AUTHORITY;
    scratch->host_start = target;
    return target;
  }
  if (at[0] == '/' || at[0] == '*') {
    scratch->needs_version = at[0] == '*';
    scratch->state = HTTP_PATH;
    scratch->path_start = target;
    return target;
  }
  bool is_http =
      (at[0] | 32) == 'h' && (at[1] | 32) == 't' && (at[2] | 32) == 't' && (at[3] | 32) == 'p';
  __u32 scheme = 4 + (is_http && (at[4] | 32) == 's');
  const char *colon = at + scheme;
  if (!is_http || colon[0] != ':' || colon[1] != '/' || colon[2] != '/') return 0;
  scratch->needs_version = 1;
  scratch->state = HTTP_AUTHORITY;
  scratch->host_start = target + scheme + 3;
  return scratch->host_start;
}

/*
 * A few bytes from `base` on; returns 1 at the end of what is wanted. A global function: the
 * verifier checks it once, for any base, and not for each of its calls.
 */
__noinline int http_chunk(__u32 index, __u32 base) {
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (!scratch || base > CICD_HTTP_PREFIX - CICD_HTTP_CHUNK) return 1;
  /* The same once more as a mask: kernels before 6.8 forget what a copy was compared with. */
  asm volatile("" : "+r"(base));
  base &= CICD_HTTP_PREFIX - 1;
  for (__u32 k = 0; k < CICD_HTTP_CHUNK; k++) {
    __u32 i = base + k;
    if (i < scratch->begin) continue;
    if (i >= scratch->length) return 1;
    __u32 state = http_next_state(scratch, i, scratch->data[i]);
    *(volatile __u32 *)&scratch->state = state;
    if (state == HTTP_DONE) return 1;
  }
  return 0;
}

/* Returns 0 when `data` is no request. */
__noinline int http_parse(__u32 index) {
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (!scratch) return 0;
  scratch->begin = http_begin(scratch);
  if (!scratch->begin) return 0;
  for (__u32 base = 0; base < CICD_HTTP_PREFIX; base += CICD_HTTP_CHUNK) {
    if (http_chunk(index, base)) break;
  }
  return !scratch->needs_version || scratch->has_version;
}

/* A part of `data` behind what is in `strings` already; cut at `limit`, a constant. */
static __always_inline __u32 http_append(struct http_scratch *scratch, __u32 position, __u32 start,
                                         __u32 end, __u32 limit, struct cicd_string *string) {
  __u32 length = end > start ? end - start : 0;
  if (length > limit) {
    length = limit;
    string->flags |= CICD_STRING_TRUNCATED;
  }
  asm volatile("" : "+r"(length));
  if (length == 0 || length > limit) return position;
  if (start > CICD_HTTP_PREFIX || position > sizeof(scratch->strings) - limit) return position;
  bpf_probe_read_kernel(scratch->strings + position, length, scratch->data + start);
  string->length = length;
  return position + length;
}

/* What http_parse() found as strings of the sample; its fixed part is the caller's, zeroed first.
 */
__noinline int http_build(__u32 index) {
  struct http_scratch *scratch = bpf_map_lookup_elem(&http_scratches, &index);
  if (!scratch) return 0;
  __u32 length = scratch->length;
  struct cicd_sample_http *sample = &scratch->sample;
  __builtin_memset(sample, 0, sizeof(*sample));
  __u32 state = scratch->state;
  /* The bytes ended inside of something. */
  if (state == HTTP_PATH) scratch->path_end = length;
  if (state == HTTP_HOST || state == HTTP_AUTHORITY) scratch->host_end = length;
  if (state == HTTP_PATH) sample->path.flags |= CICD_STRING_TRUNCATED;
  if (state != HTTP_DONE) sample->host.flags |= CICD_STRING_TRUNCATED;
  __u32 at =
      http_append(scratch, 0, 0, scratch->method_length, CICD_HTTP_METHOD_BYTES, &sample->method);
  at = http_append(scratch, at, scratch->path_start, scratch->path_end, CICD_HTTP_PREFIX,
                   &sample->path);
  at = http_append(scratch, at, scratch->host_start, scratch->host_end, CICD_NAME_MAX,
                   &sample->host);
  scratch->size = sizeof(*sample) + at;
  return 0;
}

static __always_inline void http_emit(struct http_scratch *scratch) {
  __u32 size = scratch->size;
  asm volatile("" : "+r"(size));
  __u32 slot = scratch->sample.header.slot;
  if (size < sizeof(scratch->sample) || size > sizeof(scratch->sample) + sizeof(scratch->strings)) {
    count_loss(slot, CICD_LOSS_SCRATCH);
    return;
  }
  scratch->sample.header.size = size;
  emit_control(&scratch->sample, size, slot, CICD_SAMPLE_HTTP);
}

#endif
