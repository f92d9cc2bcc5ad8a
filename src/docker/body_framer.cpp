// SPDX-License-Identifier: Apache-2.0
#include "docker/body_framer.h"

#include <algorithm>
#include <limits>

namespace cicd {

namespace {

constexpr std::uint32_t kMostSizeLineBytes = 4096;
constexpr std::uint32_t kMostTrailerBytes = 64u << 10;
constexpr std::uint32_t kMostDigits = 15;  // 2^60 bytes

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> no_chunks(const char* what) {
  return fail(ErrorCode::kInvalidInput, std::string("chunked body: ") + what);
}

}  // namespace

BodyFramer::BodyFramer(Framing framing, std::uint64_t length)
    : is_chunked_(framing == Framing::kChunked) {
  if (is_chunked_) {
    state_ = State::kSize;
  } else if (framing == Framing::kToEnd) {
    state_ = State::kData;
    left_ = std::numeric_limits<std::uint64_t>::max();
  } else if (framing == Framing::kLength && length > 0) {
    state_ = State::kData;
    left_ = length;
  }
}

void BodyFramer::skip(std::uint64_t bytes) {
  left_ -= std::min(left_, bytes);
  if (left_ == 0) state_ = is_chunked_ ? State::kDataEnd : State::kDone;
}

Result<std::size_t> BodyFramer::take(std::string_view bytes, std::string* content) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::kDone) {
    if (state_ == State::kData) {
      const std::size_t size = std::min<std::uint64_t>(left_, bytes.size() - at);
      if (content != nullptr) content->append(bytes.substr(at, size));
      at += size;
      skip(size);
      continue;
    }
    CICD_TRY(take_mark(bytes[at]));
    ++at;
  }
  return at;
}

Result<void> BodyFramer::take_mark(char c) {
  const bool after_return = saw_return_;
  saw_return_ = c == '\r';
  switch (state_) {
    case State::kSize:
      if (++mark_bytes_ > kMostSizeLineBytes) return no_chunks("a size of too many bytes");
      return take_size(c);
    case State::kExtension:
      if (++mark_bytes_ > kMostSizeLineBytes) return no_chunks("an extension of too many bytes");
      if (c == '\n') return end_size();
      return {};
    case State::kDataEnd:
      if (c == '\r' && !after_return) return {};
      if (c != '\n' || !after_return) return no_chunks("a chunk is longer than its size");
      state_ = State::kSize;
      return {};
    case State::kTrailer:
      if (++mark_bytes_ > kMostTrailerBytes) return no_chunks("a trailer of too many bytes");
      if (c != '\n') {
        line_bytes_ += 1;
        return {};
      }
      if (line_bytes_ == 0 || (line_bytes_ == 1 && after_return)) state_ = State::kDone;
      line_bytes_ = 0;
      return {};
    case State::kDone:
    case State::kData:
      break;
  }
  return {};
}

Result<void> BodyFramer::take_size(char c) {
  if (const int digit = hex_digit(c); digit >= 0) {
    if (++digits_ > kMostDigits) return no_chunks("a size of too many digits");
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return {};
  }
  if (digits_ == 0) return no_chunks("a size that is no number");
  if (c == '\n') return end_size();
  if (c != ';' && c != ' ' && c != '\t' && c != '\r') return no_chunks("a size that is no number");
  // Spaces may end the line, and an extension may follow; a second number may not.
  if (c == ';') state_ = State::kExtension;
  if (c == '\r' || c == ' ' || c == '\t') digits_ = kMostDigits;
  return {};
}

Result<void> BodyFramer::end_size() {
  state_ = left_ > 0 ? State::kData : State::kTrailer;
  digits_ = 0;
  mark_bytes_ = 0;
  line_bytes_ = 0;
  return {};
}

}  // namespace cicd
