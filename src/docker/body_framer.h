// SPDX-License-Identifier: Apache-2.0
// BodyFramer: says how many of the bytes that follow a head are its body, and can keep what the
// body holds without the marks of its chunks. Strict as Go's reader is, never laxer.
//
// Threads: one. Holds 30 bytes or so besides what it keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "docker/http_head.h"

namespace cicd {

class BodyFramer {
 public:
  BodyFramer() = default;
  BodyFramer(Framing framing, std::uint64_t length);

  // How many bytes at the front of `bytes` are the body's; less than all of them only when it ends
  // there. Appends the content to `content` unless null. kInvalidInput: these are no chunks.
  Result<std::size_t> take(std::string_view bytes, std::string* content = nullptr);
  bool is_done() const { return state_ == State::kDone; }
  // So many bytes to come are content for sure and need not be looked at; then call skip().
  std::uint64_t plain_bytes() const { return state_ == State::kData ? left_ : 0; }
  void skip(std::uint64_t bytes);

 private:
  enum class State { kDone, kData, kSize, kExtension, kDataEnd, kTrailer };
  Result<void> take_mark(char c);
  Result<void> take_size(char c);
  Result<void> end_size();

  State state_ = State::kDone;
  bool is_chunked_ = false;
  std::uint64_t left_ = 0;    // of the content, or of this chunk; while kSize, the number so far
  std::uint32_t digits_ = 0;  // of the size
  std::uint32_t mark_bytes_ = 0;  // of this line, or of the trailer
  std::uint32_t line_bytes_ = 0;  // of this line of the trailer
  bool saw_return_ = false;       // '\r' came last
};

}  // namespace cicd
