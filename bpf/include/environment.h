/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The environment of a program that has just been started: the few variables that tell which step
 * of the CI job it belongs to (map `wanted_vars`, filled by the user side) and nothing else. What
 * other variables hold is looked at in scratch memory, wiped when the walk is over, never emitted.
 *
 * Bounded by rounds: a round takes one string, or the next CICD_CHUNK_BYTES of a long one. State
 * lies in map memory and not in registers, as with paths (path.h).
 */
#ifndef CICD_ENVIRONMENT_H
#define CICD_ENVIRONMENT_H

#include "path.h"

#define CICD_WANTED_MAX 128
#define CICD_CHUNK_BYTES 512
/* Older kernels go through each round when they check the program. */
#ifndef CICD_NO_BPF_LOOP
#define CICD_ENVIRONMENT_ROUNDS 1024
#else
#define CICD_ENVIRONMENT_ROUNDS 512
#endif

/* Name -> CICD_WANTED_*, at most CICD_CHUNK_BYTES - 1 bytes. W user. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, CICD_WANTED_MAX);
  __type(key, struct cicd_variable);
  __type(value, __u32);
} wanted_vars SEC(".maps");

/* At the end of the scratch memory, behind the longest sample. */
struct environment_walk {
  __u64 at; /* where the next round starts, in user memory */
  __u64 end;
  __u32 is_inside; /* the round before ended inside of a string */
  __u32 step_at;   /* in the scratch memory: where the value of a step's id begins; 0: nowhere */
  __u32 step_bytes;
  __u32 pad0;
  char chunk[CICD_CHUNK_BYTES];
};
#define CICD_WALK_AT (CICD_SCRATCH_BYTES - sizeof(struct environment_walk))
_Static_assert((CICD_CHUNK_BYTES & (CICD_CHUNK_BYTES - 1)) == 0, "a mask serves as its bound");
_Static_assert(sizeof(struct cicd_sample_exec) + 3 * CICD_PATH_MAX + CICD_ARGV_MAX +
                       CICD_ENVIRONMENT_MAX + CICD_CHUNK_BYTES <=
                   CICD_WALK_AT,
               "an exec sample fits before the walk");

static __always_inline struct environment_walk *walk_of(struct cicd_scratch *scratch) {
  return (void *)(scratch->data + CICD_WALK_AT);
}

/*
 * What stands before the first '=', filled up with zeros. Not zero: there is none in the first
 * bytes. Without branches, each of which would double the work of older verifiers in each round.
 */
static __always_inline __u64 read_variable(const char *chunk, struct cicd_variable *name) {
  const __u64 ones = 0x0101010101010101ULL;
  const __u64 *words = (const void *)chunk;
  __u64 keep = ~0ULL; /* none of a word behind the '=' */
#pragma unroll
  for (int i = 0; i < CICD_VARIABLE_WORDS; i++) {
    __u64 other = words[i] ^ ('=' * ones);
    /* The lowest bit set is the highest one of the first byte that is '='. */
    __u64 found = (other - ones) & ~other & (ones << 7);
    __u64 negative = -found;
    asm volatile("" : "+r"(negative));
    name->words[i] = words[i] & keep & (((found & negative) >> 7) - 1);
    keep &= ((found | negative) >> 63) - 1;
  }
  return keep;
}

/* One string or piece of one; returns true when the walk is at its end. */
static __always_inline bool environment_round(struct cicd_scratch *scratch, __u64 wanted) {
  struct environment_walk *walk = walk_of(scratch);
  __u64 at = walk->at;
  if (at >= walk->end) return true;
  long length = bpf_probe_read_user_str(walk->chunk, CICD_CHUNK_BYTES, (void *)at);
  if (length < 0) {
    scratch->flags |= CICD_STRING_FAULT;
    return true;
  }
  length -= (length - 1) >> 63; /* of an empty string older kernels give 0, newer ones 1 */
  __u64 is_inside = walk->is_inside;
  __u64 is_cut = (__u64)length / CICD_CHUNK_BYTES;
  walk->is_inside = is_cut;
  walk->at = at + length - is_cut;
  struct cicd_variable name;
  __u64 is_other = read_variable(walk->chunk, &name) | is_inside;
  if (is_other || !(wanted & cicd_variable_bit(&name))) return false;
  __u32 *most = bpf_map_lookup_elem(&wanted_vars, &name);
  if (!most) return false;
  __u32 bytes = length - 1;
  __u32 wanted_bytes = CICD_WANTED_BYTES(*most);
  if (bytes > wanted_bytes) bytes = wanted_bytes;
  __u32 position = scratch->position;
  if (position > CICD_WALK_AT - CICD_CHUNK_BYTES ||
      position - scratch->start + bytes >= CICD_ENVIRONMENT_MAX) {
    scratch->flags |= CICD_STRING_TRUNCATED;
    return true;
  }
  /* It is less already; said as a mask, which older kernels understand. */
  asm volatile("" : "+r"(bytes));
  bytes &= CICD_CHUNK_BYTES - 1;
  bpf_probe_read_kernel(scratch->data + position, bytes, walk->chunk);
  position += bytes;
  if (position >= CICD_WALK_AT) return true; /* cannot be */
  scratch->data[position] = 0;
  scratch->position = position + 1;
  __u32 name_bytes = CICD_WANTED_STEP_NAME(*most);
  if (name_bytes && !walk->step_at && bytes > name_bytes + 1) {
    walk->step_at = position - bytes + name_bytes + 1;
    walk->step_bytes = bytes - name_bytes - 1;
  }
  return false;
}

struct environment_look {
  __u64 wanted;
  __u32 user;
  __u32 pad0;
};

#ifndef CICD_NO_BPF_LOOP
static long environment_step(__u32 index, void *context) {
  struct environment_look *look = context;
  struct cicd_scratch *scratch = scratch_of(look->user);
  return !scratch || environment_round(scratch, look->wanted);
}
#endif

/* A global function: see walk_path. Returns 1 when the rounds did not suffice. */
__noinline int walk_environment(__u32 user, __u64 wanted) {
#ifndef CICD_NO_BPF_LOOP
  struct environment_look look = {.wanted = wanted, .user = user};
  return bpf_loop(CICD_ENVIRONMENT_ROUNDS + 1, environment_step, &look, 0) >
         CICD_ENVIRONMENT_ROUNDS;
#else
  struct cicd_scratch *scratch = scratch_of(user);
  if (!scratch) return 1;
  for (int i = 0; i < CICD_ENVIRONMENT_ROUNDS; i++) {
    if (environment_round(scratch, wanted)) return 0;
  }
  return 1;
#endif
}

/* The wanted variables of the program that `mm` was made for. */
static __always_inline void append_environment(struct cicd_scratch *scratch, struct mm_struct *mm,
                                               struct cicd_string *string) {
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->wanted) return;
  scratch->start = scratch->position;
  scratch->flags = 0;
  struct environment_walk *walk = walk_of(scratch);
  walk->at = BPF_CORE_READ(mm, env_start);
  walk->end = BPF_CORE_READ(mm, env_end);
  walk->is_inside = 0;
  walk->step_at = 0;
  if (walk_environment(scratch->user, memory->wanted)) scratch->flags |= CICD_STRING_TRUNCATED;
  __builtin_memset(walk->chunk, 0, sizeof(walk->chunk));
  finish_string(scratch, string);
}

/* Its value is the number of a step (wire/egress.h); written by the user side. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct cicd_egress_step);
  __type(value, __u8);
} egress_steps SEC(".maps");

/* After append_environment. A global function: see walk_path. */
__noinline int put_step(__u32 user, __u32 slot, __u32 tgid) {
  struct cicd_scratch *scratch = scratch_of(user);
  if (!scratch) return 0;
  struct environment_walk *walk = walk_of(scratch);
  /* Copied to where its place is a constant, which older kernels want for each byte. */
  if (bpf_probe_read_kernel(walk->chunk, CICD_STEP_ID_MAX, scratch->data + walk->step_at)) return 0;
  __u32 bytes = walk->step_bytes;
  __u64 hash = CICD_STEP_HASH;
  for (__u32 i = 0; i < CICD_STEP_ID_MAX; i++) {
    if (i >= bytes) break;
    hash = cicd_step_hash(hash, walk->chunk[i]);
  }
  __builtin_memset(walk->chunk, 0, CICD_STEP_ID_MAX);
  struct cicd_egress_step key = {.hash = hash, .slot = slot};
  __u8 *number = bpf_map_lookup_elem(&egress_steps, &key);
  struct cicd_member *member = bpf_map_lookup_elem(&members, &tgid);
  if (number && member && !member->step) member->step = *number;
  return 0;
}

/*
 * The step that policies go by is the first that a process or one it comes from was started in:
 * what a program writes into the environment of its children changes nothing.
 */
static __always_inline void find_step(struct cicd_scratch *scratch, __u32 slot) {
  struct cicd_shared *memory = shared_memory();
  if (!memory || !memory->wanted || !walk_of(scratch)->step_at) return;
  put_step(scratch->user, slot, bpf_get_current_pid_tgid() >> 32);
}

#endif
