// SPDX-License-Identifier: Apache-2.0
// The kernel's wait and wake-up at a word of this process's memory (futex(2)), for what has to know
// whether anybody sleeps, so that nobody is woken up in vain.
//
// Threads: all calls from any. Trap: a wait may end without a wake-up; look again.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace cicd {

// Sleeps while the word is `seen`.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

// Only the address counts: the word may be gone by now.
inline void futex_wake(std::atomic<std::uint32_t>& word, int most = INT_MAX) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, most, nullptr, nullptr, 0);
}

}  // namespace cicd
