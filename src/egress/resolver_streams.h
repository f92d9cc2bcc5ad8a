// SPDX-License-Identifier: Apache-2.0
// Streams: the clients that ask over TCP (RFC 7766): messages with their length in front, as many
// as they like without waiting for answers, answered as the answers come. A client that has too
// many open questions or does not take its answers is not read from; one that is idle is closed.
//
// Threads: the resolver's.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/unique_fd.h"
#include "wire/egress.h"

namespace cicd {

struct Stream {
  static constexpr std::uint32_t kMaxOpen = 64;
  static constexpr std::size_t kMaxUnsentBytes = 256 * 1024;

  UniqueFd fd;
  std::uint32_t index = 0;
  std::uint64_t number = 0;  // no other one has it
  cicd_dns_client client{};
  std::uint32_t netns = 0;  // the client's
  std::uint64_t job_number = 0;
  std::vector<std::uint8_t> in;
  std::vector<std::uint8_t> out;
  std::size_t sent = 0;       // of `out`
  std::uint32_t open = 0;     // questions without an answer
  std::uint64_t last_ns = 0;  // something was read or written
  bool has_ended = false;     // the client sends nothing more
  std::uint32_t events = 0;   // that epoll looks for

  bool is_full() const { return open >= kMaxOpen || out.size() - sent >= kMaxUnsentBytes; }
  bool has_unsent() const { return sent < out.size(); }
};

class Streams {
 public:
  // `tag`: what epoll tells of stream n is `tag` + n.
  Streams(int epoll_fd, std::uint64_t tag) : epoll_fd_(epoll_fd), tag_(tag) {}

  std::size_t size() const { return size_; }
  // Null: epoll does not take it.
  Stream* add(UniqueFd fd, std::uint64_t now_ns);
  void close(Stream& stream);
  Stream* of(std::uint32_t index) {
    return index < streams_.size() && streams_[index].fd ? &streams_[index] : nullptr;
  }
  Stream* of(std::uint32_t index, std::uint64_t number) {
    Stream* stream = of(index);
    return stream != nullptr && stream->number == number ? stream : nullptr;
  }

  // Reads what is there, as far as the limits go. False: the connection is no more.
  static bool read(Stream& stream, std::uint64_t now_ns);
  // Gives the whole messages that were read, as long as the stream is not full.
  static void take_messages(Stream& stream,
                            FunctionRef<void(std::span<const std::uint8_t>)> on_message);
  // Appends a message; flush() sends it.
  static void append(Stream& stream, std::span<const std::uint8_t> message);
  static bool flush(Stream& stream, std::uint64_t now_ns);
  // What epoll should look for now.
  void update_events(Stream& stream) const;

  template <typename Visit>
  void for_each(Visit visit) {
    for (Stream& stream : streams_) {
      if (stream.fd) visit(stream);
    }
  }

 private:
  int epoll_fd_;
  std::uint64_t tag_;
  std::deque<Stream> streams_;
  std::vector<std::uint32_t> free_;
  std::uint64_t last_number_ = 0;
  std::size_t size_ = 0;
};

}  // namespace cicd
