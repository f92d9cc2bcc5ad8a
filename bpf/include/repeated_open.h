/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Opens that say nothing new: the same program of the same process opened the same path in the
 * same way before. Such an open is counted and not reported.
 *
 * What was reported is kept as signatures, in a table where a new one takes the place of whatever
 * stood there; an open that was pushed out is reported again. A signature is one word, so that a
 * reader never sees half of one. It covers all that a record shows, the text of the path included:
 * the kernel's own hash of a name has 32 bits, and of 200,000 files two are taken for one.
 *
 * Two opens have the same signature with a chance of one in 2^64, and nobody can look for such a
 * pair who does not know the secret that it begins with.
 */
#ifndef CICD_REPEATED_OPEN_H
#define CICD_REPEATED_OPEN_H

#include "maps.h"
#include "path.h"

#define CICD_OPENS_KEPT 32768 /* a power of two */
/* A path with its last word filled up. */
#define CICD_PATH_WORDS (CICD_PATH_MAX / 8 + 1)

#define CICD_MIX_FIRST 0xff51afd7ed558ccdull /* odd, their bits well spread */
#define CICD_MIX_SECOND 0xc4ceb9fe1a85ec53ull

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, CICD_OPENS_KEPT);
  __type(key, __u32);
  __type(value, __u64);
} reported_opens SEC(".maps") __weak;

static __always_inline __u64 mix(__u64 signature, __u64 word) {
  signature ^= word;
  signature ^= signature >> 33;
  signature *= CICD_MIX_FIRST;
  signature ^= signature >> 29;
  signature *= CICD_MIX_SECOND;
  return signature ^ (signature >> 32);
}

#define mix_path CICD_OWN(mix_path)

/* The string that was built last, and its length. A global function: it is checked once. */
__noinline __u64 mix_path(__u64 signature, __u32 user) {
  struct cicd_scratch *scratch = scratch_of(user);
  if (!scratch) return 0;
  __u32 start = scratch->start;
  __u32 length = scratch->position - start;
  if (start > CICD_SCRATCH_BYTES - CICD_PATH_MAX - 16 || length > CICD_PATH_MAX) return 0;
  *(__u64 *)(scratch->data + start + length) = 0; /* behind its end */
  for (__u32 i = 0; i < CICD_PATH_WORDS; i++) {
    if (i * 8 >= length) break;
    signature = mix(signature, *(__u64 *)(scratch->data + start + i * 8));
  }
  return mix(signature, length);
}

/* Where the signature of an open is kept; null: repeats are not looked for. */
static __always_inline __u64 *place_of_open(__u64 signature) {
  __u32 index = signature & (CICD_OPENS_KEPT - 1);
  return signature ? bpf_map_lookup_elem(&reported_opens, &index) : 0;
}

/*
 * Of an open whose path is the string that was built last. 0, for "report it", when repeats are not
 * wanted, and where there is no path that could be told from another.
 */
static __always_inline __u64 signature_of_open(const struct cicd_scratch *scratch,
                                               const struct cicd_sample_open *sample) {
  const struct cicd_sample_header *header = &sample->header;
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->open_secret) return 0;
  __u32 path = sample->path.flags;
  if (path & ~(CICD_STRING_COMPONENTS | CICD_STRING_DELETED | CICD_STRING_UNREACHABLE)) return 0;
  __u64 signature = mix(memory->open_secret, header->start_time_ns);
  signature = mix(signature, (__u64)header->pid << 32 | header->exec_id);
  signature = mix(signature, header->cgroup_id);
  signature = mix(signature, sample->inode);
  signature = mix(signature, (__u64)sample->device << 32 | path);
  signature = mix(signature, (__u64)sample->open_flags << 32 | header->flags << 16 | sample->call);
  return mix_path(signature, scratch->user);
}

#endif
