/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loss counters: every place where the kernel side can lose something counts it here.
 * Map `loss` (per-CPU array of __u64), index = slot * CICD_LOSS_STRIDE + reason.
 * Reasons below CICD_SAMPLE_TYPES are "no room in the ring" for that sample type.
 */
#ifndef CICD_WIRE_LOSS_H
#define CICD_WIRE_LOSS_H

#include "wire/sample.h"

#define CICD_LOSS_STRIDE 64
/*
 * Slots are 1 .. CICD_SLOTS_MAX - 1; counters of slot 0 are those that belong to no job. The loader
 * makes the map for as many slots as its owner wants.
 */
#define CICD_SLOTS_MAX 4096
#define CICD_SLOTS_DEFAULT 256

enum cicd_loss_reason {
  CICD_LOSS_TRACKED_FULL = 32, /* tracked_cgroups has no room: a child cgroup is not tracked */
  CICD_LOSS_ESCAPED_FULL = 33, /* a task that left the job could not be remembered */
  CICD_LOSS_SCRATCH = 34,      /* a sample could not be built (should not happen) */
  CICD_LOSS_MEMBERS_FULL = 35, /* the process map has no room: an escape may not be recognised */
  /* Not a loss: datagrams to the destination this socket sent to last; the first was reported. */
  CICD_LOSS_REPEATED_SENDMSG = 48,
  /* Not a loss: acts that were reported before, of the same process on the same target. */
  CICD_LOSS_REPEATED_ACT = 49,
  /* Not a loss: opens of a file that the same program had opened in the same way before. */
  CICD_LOSS_REPEATED_OPEN = 50,
  /* Not a loss: acts that were made to wait because a ring was half full. */
  CICD_LOSS_SLOWED = 51,
};

#endif
