/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Words of memory that the kernel programs and the consumer share: map `shared`, one element,
 * mapped into the consumer. Who writes what stands beside each member; nobody needs a lock.
 */
#ifndef CICD_WIRE_SHARED_H
#define CICD_WIRE_SHARED_H

#include "wire/sample.h"

/* When the producer is to wake the consumer. It sets the word back to AWAKE when it does. */
enum cicd_consumer_state {
  CICD_CONSUMER_AWAKE = 0, /* it is reading or will look by itself: never */
  CICD_CONSUMER_PACED = 1, /* it sleeps for a few milliseconds: only when a ring fills up */
  CICD_CONSUMER_IDLE = 2,  /* it sleeps until there is something: at the next sample */
};

struct cicd_shared {
  __u64 escaped;            /* kernel: entries of map `escaped`; it is not looked up at zero */
  __u64 members_missing;    /* kernel: processes that map `members` had no room for, ever */
  __u64 control_wake_bytes; /* user, before attaching: fill at which a paced consumer is woken */
  __u64 bulk_wake_bytes;
  /* user, before attaching: secret of the signatures of opens (repeated_open.h); 0: report all */
  __u64 open_secret;
  __u64 staged;   /* both: entries of map `staged_names`; it is not looked up at zero */
  __u64 wanted;   /* user, before attaching: bits of the names in `wanted_vars`; 0: it is empty */
  __u32 consumer; /* both: enum cicd_consumer_state */
  __u32 is_egress_on;  /* user: packets of jobs are looked at and counted; 0: nobody's are */
  __u32 resolver_port; /* user: of every policy that has names go through the resolver; 0: none */
  __u32 pad0;
};
CICD_STATIC_ASSERT(sizeof(struct cicd_shared) == 72, "wire: shared");

/* Key of maps `staged_names` and `made_names`: last component of a cgroup's path, filled up with
 * zeros. */
#define CICD_BASENAME_MAX 128
struct cicd_basename {
  char text[CICD_BASENAME_MAX];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_basename) == 128, "wire: basename");

/* Value of map `made_names`, which has names of this length and longer only: containers have those
 * of their id, 64 hexadecimal digits. */
#define CICD_CONTAINER_NAME_MIN 64
struct cicd_made {
  __u64 cgroup_id;
  __u64 time_ns; /* boot time */
};
CICD_STATIC_ASSERT(sizeof(struct cicd_made) == 16, "wire: made");

/* Beside the slot in map `build_parents`: only what has a step's name, others are made there, too.
 */
#define CICD_BUILDS_AMONG_OTHERS 0x80000000u

/* Key of map `wanted_vars`: the name of a variable of the environment, filled up with zeros. */
#define CICD_VARIABLE_WORDS 4
#define CICD_VARIABLE_MAX (8 * CICD_VARIABLE_WORDS)
struct cicd_variable {
  __u64 words[CICD_VARIABLE_WORDS];
};
CICD_STATIC_ASSERT(sizeof(struct cicd_variable) == CICD_VARIABLE_MAX, "wire: variable");

/*
 * Value of map `wanted_vars`: most bytes of "NAME=value" that are told, and of the variable that is
 * a step's id how long its name is.
 */
#define CICD_WANTED_BYTES(value) ((value) & 0xffff)
#define CICD_WANTED_STEP_NAME(value) ((value) >> 16)

/* The bit of cicd_shared.wanted that a name sets; most names that are not wanted have another. */
static inline __attribute__((always_inline)) __u64
cicd_variable_bit(const struct cicd_variable *name) {
  __u64 mixed = name->words[0] ^ name->words[1] ^ name->words[2] ^ name->words[3];
  return 1ULL << (mixed * 0x9E3779B97F4A7C15ULL >> 58);
}

/* Value of map `members`. */
struct cicd_member {
  __u64 cgroup_id;     /* v2 cgroup the process was in when it was seen last */
  __u64 start_time_ns; /* boot time, of its leader; 0: there before the job was watched */
  __u32 slot;
  __u32 exec_id; /* self_exec_id of the last exec that was told; 0: none yet */
  __u32 step;    /* number of the step that policies go by (wire/egress.h); 0: none */
  __u32 pad0;
};
/* In place of exec_id: noted by a move to a cgroup, so its fork need not have been told. */
#define CICD_MEMBER_MOVED_IN 0xffffffffu
CICD_STATIC_ASSERT(sizeof(struct cicd_member) == 32, "wire: member");

#endif
