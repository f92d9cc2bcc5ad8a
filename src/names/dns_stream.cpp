// SPDX-License-Identifier: Apache-2.0
#include "names/dns_stream.h"

#include <algorithm>

namespace cicd {

namespace {

constexpr std::uint32_t kLengthBytes = 2;

}  // namespace

DnsStreams::Stream& DnsStreams::stream_of(const DnsSegment& segment) {
  ++clock_;
  for (const auto& stream : streams_) {
    if (stream->cookie == segment.cookie && stream->is_answer == segment.is_answer) {
      stream->last_used = clock_;
      return *stream;
    }
  }
  Stream* stream = nullptr;
  if (streams_.size() < kMaxStreams) {
    stream = streams_.emplace_back(std::make_unique<Stream>()).get();
  } else {
    stream = std::ranges::min_element(streams_, {}, [](const auto& each) {
               return each->last_used;
             })->get();
    if (stream->position > 0) ++incomplete_;
  }
  stream->cookie = segment.cookie;
  stream->is_answer = segment.is_answer;
  stream->last_used = clock_;
  stream->next = segment.sequence;
  stream->position = 0;
  stream->is_torn = false;
  stream->message.clear();
  return *stream;
}

void DnsStreams::add(const DnsSegment& segment, Sink sink) {
  Stream& stream = stream_of(segment);
  std::span<const std::uint8_t> bytes = segment.bytes;
  std::uint32_t total = std::max(segment.total_bytes, static_cast<std::uint32_t>(bytes.size()));
  // Sequence numbers wrap: the difference is what counts.
  const auto ahead = static_cast<std::int32_t>(segment.sequence - stream.next);
  if (ahead > 0) {
    skip(stream, static_cast<std::uint32_t>(ahead), sink);
    stream.next = segment.sequence;
  }
  if (ahead < 0) {
    const std::uint32_t known = 0u - static_cast<std::uint32_t>(ahead);
    if (known >= total) return;
    bytes = bytes.subspan(std::min<std::size_t>(known, bytes.size()));
    total -= known;
  }
  const auto given = static_cast<std::uint32_t>(bytes.size());
  take(stream, bytes, sink);
  if (total > given) skip(stream, total - given, sink);
  stream.next += total;
}

void DnsStreams::take(Stream& stream, std::span<const std::uint8_t> bytes, Sink sink) {
  while (!bytes.empty()) {
    if (stream.position < kLengthBytes) {
      stream.length[stream.position++] = bytes.front();
      bytes = bytes.subspan(1);
      if (stream.position < kLengthBytes) continue;
    }
    const std::uint32_t length = std::uint32_t{stream.length[0]} << 8 | stream.length[1];
    const std::uint32_t missing = length + kLengthBytes - stream.position;
    const auto part = bytes.first(std::min<std::size_t>(missing, bytes.size()));
    const std::size_t room = kMaxMessageBytes - stream.message.size();
    if (!stream.is_torn) {
      const auto kept = part.first(std::min(room, part.size()));
      stream.message.insert(stream.message.end(), kept.begin(), kept.end());
    }
    stream.position += static_cast<std::uint32_t>(part.size());
    bytes = bytes.subspan(part.size());
    if (stream.position == length + kLengthBytes) finish(stream, sink);
  }
}

void DnsStreams::skip(Stream& stream, std::uint32_t bytes, Sink sink) {
  if (stream.position >= kLengthBytes) {
    const std::uint32_t length = std::uint32_t{stream.length[0]} << 8 | stream.length[1];
    const std::uint32_t missing = length + kLengthBytes - stream.position;
    stream.is_torn = true;
    if (bytes < missing) {
      stream.position += bytes;
      return;
    }
    const bool is_exact = bytes == missing;
    finish(stream, sink);
    if (is_exact) return;
  }
  // The gap goes over a message's length: what follows is taken for the start of one, which is how
  // servers and clients send them.
  ++incomplete_;
  stream.position = 0;
  stream.is_torn = false;
  stream.message.clear();
}

void DnsStreams::finish(Stream& stream, Sink sink) {
  const std::uint32_t length = std::uint32_t{stream.length[0]} << 8 | stream.length[1];
  const bool is_whole = stream.message.size() == length;
  if (!is_whole) ++incomplete_;
  if (!stream.message.empty()) sink(stream.message, is_whole);
  stream.position = 0;
  stream.is_torn = false;
  stream.message.clear();
}

}  // namespace cicd
