// SPDX-License-Identifier: Apache-2.0
// What the running kernel has, for tests of what not every kernel has. Asked of the kernel (its
// types, the call itself), not of its version.
//
// A test that does not apply skips with kNotInThisKernel before the reason: tools/run-tests counts
// it as such, also where a skip is a failure otherwise.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/loss.h"

namespace cicd::test {

inline constexpr const char* kNotInThisKernel = "not in this kernel: ";

// In the type information of the kernel itself.
bool kernel_has_struct(const std::string& name);
// A system call that is not there fails with ENOSYS whatever its arguments are; these must be
// wrong.
bool kernel_has_call(long number);
bool kernel_has_modules();

// Without those that are lost because the kernel runs a program once at a time on a CPU: from 7.0
// on that happens whenever the machine is busy, to any job, and says nothing of what a test does.
LossReport without_recursion(LossReport report);

}  // namespace cicd::test
