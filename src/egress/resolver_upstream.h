// SPDX-License-Identifier: Apache-2.0
// Upstream: one DNS server that questions are passed on to over UDP, through sockets with random
// ports that are used for a short time only. The questions of one round (what came in together) go
// through one of them in one system call. With a random id and random letter case (RFC 5452) that
// is what a forger has to guess.
//
// Threads: the resolver's. Sockets are connected: datagrams of others never reach us, and a server
// that is not there says so at once.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/function_ref.h"
#include "egress/resolver_reply.h"
#include "egress/resolver_sockets.h"

namespace cicd {

// Random bytes of the kernel, many at a time.
class RandomBytes {
 public:
  std::uint8_t u8() {
    if (next_ == bytes_.size()) refill();
    return bytes_[next_++];
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }

 private:
  void refill();
  std::array<std::uint8_t, 4096> bytes_{};
  std::size_t next_ = bytes_.size();
};

class Upstream {
 public:
  static constexpr std::size_t kSockets = 32;
  static constexpr std::size_t kBatch = 64;
  static constexpr std::size_t kAnswersAtOnce = 16;
  static constexpr std::uint32_t kUses = 512;  // of a socket, and
  static constexpr std::uint64_t kSocketLifeNs = 5'000'000'000;

  // `tag`: what epoll tells of socket n is `tag` + n.
  Upstream(const SocketAddress& address, int epoll_fd, std::uint64_t tag)
      : address_(address), epoll_fd_(epoll_fd), tag_(tag) {}

  const SocketAddress& address() const { return address_; }

  struct Place {
    std::uint8_t socket = 0;
    std::span<std::uint8_t> bytes;  // for the question
  };
  // Where to write the next question; commit() says how large it is. nullopt: there is no socket.
  std::optional<Place> begin(RandomBytes& random, std::uint64_t now_ns);
  void commit(std::size_t bytes);
  // Sends what was committed.
  void flush();
  // The question that went through this socket waits no longer.
  void done(std::uint8_t socket) { --sockets_[socket].waiting; }

  // Takes up to kAnswersAtOnce datagrams. False: the server has refused what was sent through this
  // socket.
  bool receive(std::uint8_t socket, FunctionRef<void(std::span<std::uint8_t>)> on_message);

  std::uint32_t jobs = 0;  // that use it

 private:
  static constexpr std::size_t kAnswerBytes = 2'048;
  struct Socket {
    UniqueFd fd;
    std::uint32_t uses = 0;
    std::uint32_t waiting = 0;
    std::uint64_t opened_ns = 0;
  };
  struct Buffers {
    std::array<std::array<std::uint8_t, kMaxUpstreamAskBytes>, kBatch> asks;
    std::array<std::uint16_t, kBatch> sizes;
    std::array<std::array<std::uint8_t, kAnswerBytes>, kAnswersAtOnce> answers;
  };

  bool choose_socket(RandomBytes& random, std::uint64_t now_ns);
  bool open_socket(Socket& socket, std::size_t number, std::uint64_t now_ns) const;

  SocketAddress address_;
  int epoll_fd_;
  std::uint64_t tag_;
  std::array<Socket, kSockets> sockets_;
  std::unique_ptr<Buffers> buffers_ = std::make_unique<Buffers>();
  std::size_t current_ = 0;  // socket of this round
  std::size_t queued_ = 0;
  bool has_current_ = false;
};

}  // namespace cicd
