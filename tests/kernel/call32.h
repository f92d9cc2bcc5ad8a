// SPDX-License-Identifier: Apache-2.0
// 32-bit system calls of this machine, for tests.
//
// On x86 this very process makes them (int 0x80). On arm64 only a 32-bit program can, so each call
// is made by a little program of its own, a child of the caller that inherits its descriptors and
// working directory; what a call opens is closed when that program ends.
//
// Threads: one. Strings live until the process ends.
#pragma once

#include <string>

namespace cicd::test {

// Numbers are the same on both up to 100.
enum : long {
  kOpen32 = 5,
  kCreat32 = 8,
  kLink32 = 9,
  kUnlink32 = 10,
  kRename32 = 38,
  kRmdir32 = 40,
  kSymlink32 = 83,
  kTruncate32 = 92,
#if defined(__x86_64__)
  kOpenat32 = 295,
  kUnlinkat32 = 301,
  kRenameat2_32 = 353,
#else
  kOpenat32 = 322,
  kUnlinkat32 = 328,
  kRenameat2_32 = 382,
#endif
};

// A string where 32-bit pointers reach it, as an argument of call32.
long low(const std::string& text);

// The result as the kernel gives it: -ENOENT, not -1. On arm64 what is not negative comes as 0.
long call32(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0);

// Empty, or why there are no 32-bit calls here (many arm64 processors run no 32-bit programs).
std::string why_no_call32();

}  // namespace cicd::test
