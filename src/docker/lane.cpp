// SPDX-License-Identifier: Apache-2.0
#include "docker/lane.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace cicd {

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::size_t kFirstReadBytes = std::size_t{4} << 10;
constexpr int kPipeBytes = 1 << 20;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

void LaneEnd::on_events(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) can_read = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) can_write = true;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) is_hung_up = true;
}

bool Lane::fill(std::size_t most) {
  const std::size_t before = buffer_.size();
  const std::size_t waiting = before - cleared_;
  if (!from_.can_read || from_.is_at_end || waiting >= most) return false;
  // What few connections need is not taken from the rest: the room grows with what comes.
  const std::size_t step = is_busy_ ? kReadBytes : kFirstReadBytes;
  const std::size_t room = std::min(step, most - waiting);
  ssize_t size = 0;
  buffer_.resize_and_overwrite(before + room, [&](char* bytes, std::size_t) {
    do {
      size = ::recv(from_.fd.get(), bytes + before, room, 0);
    } while (size < 0 && errno == EINTR);
    return before + static_cast<std::size_t>(std::max<ssize_t>(size, 0));
  });
  is_busy_ = size == static_cast<ssize_t>(room);
  if (size > 0) return true;
  from_.can_read = false;
  if (size == 0 || !would_block(errno)) from_.is_at_end = true;
  return from_.is_at_end;
}

void Lane::insert(std::string_view bytes) {
  buffer_.insert(cleared_, bytes);
  cleared_ += bytes.size();
}

bool Lane::flush() {
  bool has_moved = flush_pipe();
  while (in_pipe_ == 0 && written_ < cleared_ && (to_.can_write || to_.is_deaf)) {
    const ssize_t size = to_.is_deaf ? static_cast<ssize_t>(cleared_ - written_)
                                     : ::send(to_.fd.get(), buffer_.data() + written_,
                                              cleared_ - written_, MSG_NOSIGNAL);
    if (size > 0) {
      written_ += static_cast<std::size_t>(size);
      has_moved = true;
    } else if (size < 0 && would_block(errno)) {
      to_.can_write = false;
    } else if (size == 0 || errno != EINTR) {
      to_.is_deaf = true;
    }
  }
  tidy();
  return has_moved;
}

void Lane::tidy() {
  if (written_ == 0) return;
  if (written_ == buffer_.size()) {
    buffer_.clear();
    if (buffer_.capacity() > kReadBytes) buffer_.shrink_to_fit();
  } else if (written_ >= kReadBytes || written_ == cleared_) {
    buffer_.erase(0, written_);
  } else {
    return;
  }
  cleared_ -= written_;
  written_ = 0;
}

bool Lane::flush_pipe() {
  bool has_moved = false;
  while (in_pipe_ > 0 && to_.can_write && !to_.is_deaf) {
    const ssize_t size = ::splice(pipe_out_.get(), nullptr, to_.fd.get(), nullptr, in_pipe_,
                                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (size > 0) {
      in_pipe_ -= static_cast<std::size_t>(size);
      has_moved = true;
    } else if (size < 0 && would_block(errno)) {
      to_.can_write = false;
    } else if (size == 0 || errno != EINTR) {
      to_.is_deaf = true;
    }
  }
  if (to_.is_deaf && in_pipe_ > 0) {
    pipe_in_.reset();
    pipe_out_.reset();
    in_pipe_ = 0;
    has_moved = true;
  }
  return has_moved;
}

std::uint64_t Lane::move(std::uint64_t most) {
  if (!from_.can_read || from_.is_at_end || !is_flushed() || !buffer_.empty() || to_.is_deaf) {
    return 0;
  }
  if (!pipe_in_) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return 0;
    pipe_out_ = UniqueFd(ends[0]);
    pipe_in_ = UniqueFd(ends[1]);
    ::fcntl(pipe_in_.get(), F_SETPIPE_SZ, kPipeBytes);  // smaller is slower, no more
  }
  const std::size_t size = std::min<std::uint64_t>(most, kPipeBytes);
  const ssize_t taken = ::splice(from_.fd.get(), nullptr, pipe_in_.get(), nullptr, size,
                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (taken > 0) {
    in_pipe_ = static_cast<std::size_t>(taken);
    flush_pipe();
    return static_cast<std::uint64_t>(taken);
  }
  if (taken < 0 && errno == EINTR) return 0;
  // Its buffer is empty, or it has ended: fill() finds out which.
  is_busy_ = false;
  if (taken < 0 && would_block(errno)) from_.can_read = false;
  return 0;
}

void Lane::pass_on_end() {
  if (!from_.is_at_end || !is_flushed() || !unread().empty() || to_.is_told) return;
  to_.is_told = true;
  ::shutdown(to_.fd.get(), SHUT_WR);
}

}  // namespace cicd
