/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The task that runs, through a pointer of which the kernel knows the type (since 5.11): its
 * members are plain loads then, where a read through a helper takes some twenty nanoseconds. The
 * verifier lets the pointers on the way go on from there (task->group_leader->start_boottime),
 * until one of them has lain in map memory.
 *
 * Tracing programs only. A file with programs of another kind says so before it includes anything:
 *     #define CICD_NO_TYPED_TASK
 */
#ifndef CICD_CURRENT_H
#define CICD_CURRENT_H

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Helpers younger than the kernel floor are asked for by number; the values are the kernel's. */
enum bpf_func_id___task { BPF_FUNC_get_current_task_btf___task = 158 };

/* A constant when a program is loaded: the verifier sees only the branch that is taken. */
static __always_inline bool is_task_typed(void) {
#ifdef CICD_NO_TYPED_TASK
  return false;
#else
  return bpf_core_enum_value_exists(enum bpf_func_id___task, BPF_FUNC_get_current_task_btf___task);
#endif
}

/*
 * OF_CURRENT(task, group_leader, start_boottime): as BPF_CORE_READ has it, at most three steps;
 * `task` is what bpf_get_current_task() gave.
 */
#ifdef CICD_NO_TYPED_TASK
#define OF_CURRENT(task, ...) BPF_CORE_READ(task, __VA_ARGS__)
#else
#define CICD_LOAD_1(a) bpf_get_current_task_btf()->a
#define CICD_LOAD_2(a, b) bpf_get_current_task_btf()->a->b
#define CICD_LOAD_3(a, b, c) bpf_get_current_task_btf()->a->b->c
#define CICD_LOAD_PICK(_1, _2, _3, name, ...) name
#define CICD_LOAD(...) \
  CICD_LOAD_PICK(__VA_ARGS__, CICD_LOAD_3, CICD_LOAD_2, CICD_LOAD_1)(__VA_ARGS__)
#define OF_CURRENT(task, ...) \
  (is_task_typed() ? CICD_LOAD(__VA_ARGS__) : BPF_CORE_READ(task, __VA_ARGS__))
#endif

#endif
