// SPDX-License-Identifier: Apache-2.0
// Lane: one direction of a connection through the proxy. Bytes are read into a buffer, looked at by
// its owner, cleared to go, and written; what need not be looked at goes through a pipe by
// splice(2) and is never copied into this process.
//
// Threads: one. Nothing here waits. Trap: splice(2) to a socket that is closed raises SIGPIPE; the
// thread must have it blocked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace cicd {

// One of the two sockets of a connection.
struct LaneEnd {
  UniqueFd fd;
  bool can_read = true;  // until a read says otherwise; events set it again
  bool can_write = true;
  bool is_at_end = false;   // everything it will ever send has been read
  bool is_deaf = false;     // it reads no more: what is for it is thrown away
  bool is_hung_up = false;  // closed altogether
  bool is_told = false;     // that nothing more comes for it

  void on_events(std::uint32_t events);
};

class Lane {
 public:
  Lane(LaneEnd& from, LaneEnd& to) : from_(from), to_(to) {}

  // Reads once, while fewer than `most` bytes are there that were not cleared. True: something
  // came.
  bool fill(std::size_t most);
  std::string_view unread() const { return std::string_view(buffer_).substr(cleared_); }
  void clear_to_go(std::size_t bytes) { cleared_ += bytes; }
  void drop(std::size_t bytes) { buffer_.erase(cleared_, bytes); }
  // Bytes of our own that go before what is not cleared.
  void insert(std::string_view bytes);
  // Writes what is cleared. True: something went.
  bool flush();
  // Moves at most `most` bytes without looking at them; only when nothing is buffered. Returns how
  // many were taken from the source.
  std::uint64_t move(std::uint64_t most);
  bool is_flushed() const { return written_ == cleared_ && in_pipe_ == 0; }
  // Everything has come and gone: tells the other side, once.
  void pass_on_end();
  // The last read filled all the room there was: more is to come.
  bool is_busy() const { return is_busy_; }

 private:
  void tidy();
  bool flush_pipe();

  LaneEnd& from_;
  LaneEnd& to_;
  std::string buffer_;  // [written_, cleared_) may go, from cleared_ on is to be looked at
  std::size_t written_ = 0;
  std::size_t cleared_ = 0;
  UniqueFd pipe_in_;
  UniqueFd pipe_out_;
  std::size_t in_pipe_ = 0;
  bool is_busy_ = false;
};

}  // namespace cicd
