// SPDX-License-Identifier: Apache-2.0
// Ring: io_uring by its raw system calls, for acts of tests. Threads: one.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <initializer_list>

namespace cicd::test {

// One ring, one request at a time. Lives in the child: no assertions.
class Ring {
 public:
  explicit Ring(unsigned flags = 0) {
    params_.flags = flags;
    params_.sq_thread_idle = 1000;
    fd_ = static_cast<int>(::syscall(SYS_io_uring_setup, 8, &params_));
    if (fd_ < 0) return;
    const std::size_t bytes =
        std::max<std::size_t>(params_.sq_off.array + params_.sq_entries * sizeof(unsigned),
                              params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe));
    rings_ = map(bytes, IORING_OFF_SQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(
        map(params_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
  }
  ~Ring() { ::close(fd_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  bool ok() const { return fd_ >= 0 && rings_ != nullptr && entries_ != nullptr; }

  // Whether the kernel knows these operations (since 5.6 it can be asked).
  bool knows(std::initializer_list<__u8> opcodes) const {
    constexpr unsigned kMost = 256;
    alignas(io_uring_probe) char
        memory[sizeof(io_uring_probe) + kMost * sizeof(io_uring_probe_op)] = {};
    auto* probe = reinterpret_cast<io_uring_probe*>(memory);
    if (::syscall(SYS_io_uring_register, fd_, IORING_REGISTER_PROBE, probe, kMost) != 0) {
      return false;
    }
    return std::ranges::all_of(opcodes, [&](__u8 opcode) {
      return opcode <= probe->last_op && (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
    });
  }

  // Submits the request and returns its result; -ETIME when none comes.
  int run(io_uring_sqe entry) {
    auto* tail = at(params_.sq_off.tail);
    const unsigned index = *tail & *at(params_.sq_off.ring_mask);
    entries_[index] = entry;
    at(params_.sq_off.array)[index] = index;
    std::atomic_ref(*tail).store(*tail + 1);
    if ((params_.flags & IORING_SETUP_SQPOLL) == 0) {
      if (::syscall(SYS_io_uring_enter, fd_, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) < 0) {
        return -errno;
      }
    }
    auto* head = at(params_.cq_off.head);
    for (int i = 0; i < 2000; ++i) {
      if ((std::atomic_ref(*at(params_.sq_off.flags)).load() & IORING_SQ_NEED_WAKEUP) != 0) {
        ::syscall(SYS_io_uring_enter, fd_, 1, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0);
      }
      if (*head != std::atomic_ref(*at(params_.cq_off.tail)).load()) {
        const auto* done = reinterpret_cast<io_uring_cqe*>(rings_ + params_.cq_off.cqes);
        const int result = done[*head & *at(params_.cq_off.ring_mask)].res;
        std::atomic_ref(*head).store(*head + 1);
        return result;
      }
      ::usleep(1000);
    }
    return -ETIME;
  }

 private:
  char* map(std::size_t bytes, off_t what) const {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, what);
    return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
  }
  unsigned* at(unsigned offset) const { return reinterpret_cast<unsigned*>(rings_ + offset); }

  io_uring_params params_{};
  int fd_ = -1;
  char* rings_ = nullptr;
  io_uring_sqe* entries_ = nullptr;
};

inline io_uring_sqe request(__u8 opcode, int fd, const void* address, __u32 length = 0,
                            __u64 offset = 0) {
  io_uring_sqe entry{};
  entry.opcode = opcode;
  entry.fd = fd;
  entry.addr = reinterpret_cast<__u64>(address);
  entry.len = length;
  entry.off = offset;
  return entry;
}

}  // namespace cicd::test
