// SPDX-License-Identifier: Apache-2.0
// io_uring by its raw system calls: one operation at a time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "acts.h"

namespace cicd::evasion {

namespace {

class Ring {
 public:
  explicit Ring(unsigned flags) {
    parameters_.flags = flags;
    parameters_.sq_thread_idle = 1000;
    fd_ = UniqueFd(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters_)));
    if (!fd_) return;
    submission_ = map(parameters_.sq_off.array + parameters_.sq_entries * sizeof(unsigned),
                      IORING_OFF_SQ_RING);
    completion_ = map(parameters_.cq_off.cqes + parameters_.cq_entries * sizeof(io_uring_cqe),
                      IORING_OFF_CQ_RING);
    entries_ = map(parameters_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
  }

  bool is_valid() const { return fd_ && submission_ && completion_ && entries_; }

  // Does one operation; returns its result, or -errno.
  int run(const io_uring_sqe& entry) {
    *reinterpret_cast<io_uring_sqe*>(entries_) = entry;
    *word(submission_, parameters_.sq_off.array) = 0;
    auto tail = std::atomic_ref(*word(submission_, parameters_.sq_off.tail));
    tail.store(tail.load() + 1);
    unsigned flags = IORING_ENTER_GETEVENTS;
    if ((parameters_.flags & IORING_SETUP_SQPOLL) != 0) flags |= IORING_ENTER_SQ_WAKEUP;
    if (syscall(SYS_io_uring_enter, fd_.get(), 1, 1, flags, nullptr, 0) < 0) return -errno;
    const auto head = std::atomic_ref(*word(completion_, parameters_.cq_off.head));
    const unsigned mask = *word(completion_, parameters_.cq_off.ring_mask);
    const auto* done = reinterpret_cast<io_uring_cqe*>(completion_ + parameters_.cq_off.cqes);
    return done[head.load() & mask].res;
  }

 private:
  char* map(std::size_t bytes, off_t what) const {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), what);
    return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
  }
  static unsigned* word(char* ring, unsigned offset) {
    return reinterpret_cast<unsigned*>(ring + offset);
  }

  io_uring_params parameters_{};
  UniqueFd fd_;
  char* submission_ = nullptr;
  char* completion_ = nullptr;
  char* entries_ = nullptr;
};

int fail_with(int result, const char* what) {
  errno = -result;
  return fail(what);
}

io_uring_sqe entry_of(std::uint8_t operation, int fd, const void* address) {
  io_uring_sqe entry{};
  entry.opcode = operation;
  entry.fd = fd;
  entry.addr = reinterpret_cast<std::uint64_t>(address);
  return entry;
}

int open_through(Ring& ring, const Place& place, std::uint8_t sqe_flags) {
  if (!ring.is_valid()) return cannot("io_uring_setup");
  const std::string path = place.secret();
  io_uring_sqe entry = entry_of(IORING_OP_OPENAT, AT_FDCWD, path.c_str());
  entry.open_flags = O_RDONLY | O_CLOEXEC;
  entry.flags = sqe_flags;
  const UniqueFd fd(ring.run(entry));
  return fd.get() >= 0 ? read_secret(fd.get()) : fail_with(fd.get(), "IORING_OP_OPENAT");
}

int uring_open(const Place& place) {
  Ring ring(0);
  return open_through(ring, place, 0);
}

int uring_open_async(const Place& place) {
  Ring ring(0);
  return open_through(ring, place, IOSQE_ASYNC);
}

int uring_open_sqpoll(const Place& place) {
  Ring ring(IORING_SETUP_SQPOLL);
  return open_through(ring, place, 0);
}

int uring_openat2(const Place& place) {
  Ring ring(0);
  if (!ring.is_valid()) return cannot("io_uring_setup");
  const UniqueFd folder(open(place.folder.c_str(), O_PATH | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC;
  io_uring_sqe entry = entry_of(IORING_OP_OPENAT2, folder.get(), "secret");
  entry.len = sizeof(how);
  entry.off = reinterpret_cast<std::uint64_t>(&how);
  const UniqueFd fd(ring.run(entry));
  return fd.get() >= 0 ? read_secret(fd.get()) : fail_with(fd.get(), "IORING_OP_OPENAT2");
}

sockaddr_in echo_address(const Place& place) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(place.port);
  return address;
}

int connect_through(const Place& place, std::uint8_t sqe_flags) {
  Ring ring(0);
  if (!ring.is_valid()) return cannot("io_uring_setup");
  const UniqueFd fd = make_socket(AF_INET, SOCK_STREAM);
  const sockaddr_in address = echo_address(place);
  io_uring_sqe entry = entry_of(IORING_OP_CONNECT, fd.get(), &address);
  entry.off = sizeof(address);
  entry.flags = sqe_flags;
  const int result = ring.run(entry);
  return result == 0 ? expect_echo(fd.get()) : fail_with(result, "IORING_OP_CONNECT");
}
int uring_connect(const Place& place) { return connect_through(place, 0); }
int uring_connect_async(const Place& place) { return connect_through(place, IOSQE_ASYNC); }

int uring_sendmsg(const Place& place) {
  Ring ring(0);
  if (!ring.is_valid()) return cannot("io_uring_setup");
  const UniqueFd fd = make_socket(AF_INET, SOCK_DGRAM);
  sockaddr_in address = echo_address(place);
  char word[] = "hello";
  iovec data{word, 5};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = sizeof(address);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  const int sent = ring.run(entry_of(IORING_OP_SENDMSG, fd.get(), &message));
  if (sent != 5) return fail_with(sent, "IORING_OP_SENDMSG");
  const timeval patience{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return recv(fd.get(), word, sizeof(word), 0) == 5 ? kDone : fail("recv");
}

constexpr Act kActs[] = {
    {"io-uring-open", uring_open},
    {"io-uring-open-async", uring_open_async},
    {"io-uring-open-sqpoll", uring_open_sqpoll},
    {"io-uring-openat2", uring_openat2},
    {"io-uring-connect", uring_connect},
    {"io-uring-connect-async", uring_connect_async},
    {"io-uring-sendmsg", uring_sendmsg},
};

}  // namespace

std::span<const Act> uring_acts() { return kActs; }

}  // namespace cicd::evasion
