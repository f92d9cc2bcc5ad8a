// SPDX-License-Identifier: Apache-2.0
// DnsStreams: DNS messages out of TCP segments (RFC 1035 4.2.2: two bytes of length, then the
// message). One stream is one direction of one connection, found by the socket's cookie.
//
// Segments may come twice, overlap, or be missing (lost sample, payload cut in the kernel). What is
// missing ends the message in work: its beginning is handed out as a cut one, and the stream goes
// on at the next message where its place is known. Every message that is not handed out whole is
// counted.
//
// Thread: the pipeline thread. Memory: kMaxStreams buffers of kMaxMessageBytes, made when first
// used; the stream that was quiet for longest goes first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/function_ref.h"

namespace cicd {

struct DnsSegment {
  std::uint64_t cookie = 0;
  bool is_answer = false;         // direction: from the server
  std::uint32_t sequence = 0;     // TCP sequence number of the first byte
  std::uint32_t total_bytes = 0;  // of the payload in the packet; at least bytes.size()
  std::span<const std::uint8_t> bytes;
};

class DnsStreams {
 public:
  static constexpr std::size_t kMaxStreams = 64;
  static constexpr std::size_t kMaxMessageBytes = 16 * 1024;

  // `is_whole` is false for the beginning of a message; that is counted here already.
  using Sink = FunctionRef<void(std::span<const std::uint8_t> message, bool is_whole)>;

  // Hands out the messages that are complete with this segment. Views die with the call.
  void add(const DnsSegment& segment, Sink sink);

  // Messages that were handed out in part or not at all; those of streams let go count too.
  std::uint64_t incomplete() const { return incomplete_; }

 private:
  struct Stream {
    std::uint64_t cookie = 0;
    bool is_answer = false;
    std::uint64_t last_used = 0;
    std::uint32_t next = 0;      // sequence number of the byte that comes next
    std::uint32_t position = 0;  // in the message in work, its length bytes included
    std::array<std::uint8_t, 2> length{};
    std::vector<std::uint8_t> message;
    bool is_torn = false;  // bytes of the message in work are missing: `message` ended before them
  };

  Stream& stream_of(const DnsSegment& segment);
  void take(Stream& stream, std::span<const std::uint8_t> bytes, Sink sink);
  void skip(Stream& stream, std::uint32_t bytes, Sink sink);
  void finish(Stream& stream, Sink sink);

  std::vector<std::unique_ptr<Stream>> streams_;
  std::uint64_t clock_ = 0;
  std::uint64_t incomplete_ = 0;
};

}  // namespace cicd
