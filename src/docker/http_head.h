// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP/1 messages, read only as far as a proxy needs that passes them on unchanged: which
// request it is, and where its body ends. A request that two readers could take apart differently
// (two lengths, a length beside chunks, folded lines, ...) is an error, so that nothing can hide in
// what we take for a body. Where Go's server is strict, so is this; it is never laxer.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace cicd {

enum class Framing {
  kNone,     // no body
  kLength,   // Content-Length
  kChunked,  // Transfer-Encoding: chunked
  kToEnd,    // a response that lasts until its connection ends: dockerd's streams
};

struct RequestHead {
  std::string_view method;  // into the bytes that were parsed
  std::string_view target;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
  bool expects_continue = false;
};

struct ResponseHead {
  unsigned status = 0;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
};

// As Go's server has it: its clients may send such a head.
inline constexpr std::size_t kMaxHeadBytes = (std::size_t{1} << 20) + 4096;

// Size of the head that `bytes` begins with, with its empty line; 0 when that is not there yet.
// `searched`: how many of the bytes an earlier call has looked at; set for the next.
std::size_t find_head(std::string_view bytes, std::size_t& searched);

// `head` is what find_head found. Errors: kUnsupported for a version that is not 1.0 or 1.1,
// kInvalidInput for everything else.
Result<RequestHead> parse_request_head(std::string_view head);
Result<ResponseHead> parse_response_head(std::string_view head, bool answers_head_request);

}  // namespace cicd
