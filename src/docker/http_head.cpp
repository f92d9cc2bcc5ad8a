// SPDX-License-Identifier: Apache-2.0
#include "docker/http_head.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace cicd {

namespace {

constexpr std::uint64_t kMostLength = std::numeric_limits<std::int64_t>::max();

std::unexpected<Error> bad(std::string text) {
  return fail(ErrorCode::kInvalidInput, std::move(text));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes the next line off `rest`, without its end.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

struct BodyHeaders {
  std::optional<std::uint64_t> length;
  bool is_chunked = false;
  bool expects_continue = false;
};

Result<void> take_length(std::string_view value, BodyHeaders& headers) {
  std::uint64_t length = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), length);
  if (value.empty() || read.ec != std::errc() || read.ptr != value.data() + value.size() ||
      length > kMostLength) {
    return bad("Content-Length is no number");
  }
  if (headers.length && *headers.length != length) return bad("two values of Content-Length");
  headers.length = length;
  return {};
}

Result<void> take_header(std::string_view line, BodyHeaders& headers) {
  const std::size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos) return bad("a header line without a name");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (std::ranges::any_of(name, [](char c) { return c <= ' ' || c >= 0x7f; })) {
    return bad("a header's name holds a space or a control character, or a line is folded");
  }
  const auto is_control = [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
  };
  if (std::ranges::any_of(value, is_control)) return bad("a header holds a control character");
  if (same_word(name, "content-length")) return take_length(value, headers);
  if (same_word(name, "transfer-encoding")) {
    if (headers.is_chunked || !same_word(value, "chunked")) {
      return bad("Transfer-Encoding other than one 'chunked'");
    }
    headers.is_chunked = true;
  } else if (same_word(name, "expect")) {
    headers.expects_continue = headers.expects_continue || same_word(value, "100-continue");
  }
  return {};
}

Result<BodyHeaders> read_headers(std::string_view rest) {
  BodyHeaders headers;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    CICD_TRY(take_header(line, headers));
  }
  return headers;
}

}  // namespace

std::size_t find_head(std::string_view bytes, std::size_t& searched) {
  // An empty line may have begun before what is new: "\n\r" and then "\n".
  std::size_t at = searched > 2 ? searched - 2 : 0;
  searched = bytes.size();
  while ((at = bytes.find('\n', at)) != std::string_view::npos) {
    const std::string_view after = bytes.substr(at + 1, 2);
    if (after.starts_with('\n')) return at + 2;
    if (after == "\r\n") return at + 3;
    ++at;
  }
  return 0;
}

Result<RequestHead> parse_request_head(std::string_view head) {
  const std::string_view line = take_line(head);
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || first == 0 || second == first + 1) {
    return bad("the request line is not 'METHOD TARGET VERSION'");
  }
  RequestHead request;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  const std::string_view version = line.substr(second + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return fail(ErrorCode::kUnsupported, "the version is not HTTP/1.0 or HTTP/1.1");
  }
  CICD_ASSIGN(const BodyHeaders headers, read_headers(head));
  if (headers.is_chunked && (headers.length || version == "HTTP/1.0")) {
    return bad("Transfer-Encoding beside Content-Length, or in HTTP/1.0");
  }
  request.expects_continue = headers.expects_continue;
  if (headers.is_chunked) {
    request.framing = Framing::kChunked;
  } else if (headers.length.value_or(0) > 0) {
    request.framing = Framing::kLength;
    request.length = *headers.length;
  }
  return request;
}

Result<ResponseHead> parse_response_head(std::string_view head, bool answers_head_request) {
  const std::string_view line = take_line(head);
  constexpr std::size_t kStatusAt = sizeof("HTTP/1.1 ") - 1;
  ResponseHead response;
  if (!(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ")) ||
      line.size() < kStatusAt + 3) {
    return bad("the status line is not 'HTTP/1.1 STATUS'");
  }
  const char* const status = line.data() + kStatusAt;
  const auto read = std::from_chars(status, status + 3, response.status);
  if (read.ptr != status + 3 || response.status < 100) return bad("the status is no number");
  CICD_ASSIGN(const BodyHeaders headers, read_headers(head));
  if (answers_head_request || response.status < 200 || response.status == 204 ||
      response.status == 304) {
    return response;
  }
  if (headers.is_chunked) {
    response.framing = Framing::kChunked;
  } else if (headers.length) {
    response.framing = *headers.length > 0 ? Framing::kLength : Framing::kNone;
    response.length = *headers.length;
  } else {
    response.framing = Framing::kToEnd;
  }
  return response;
}

}  // namespace cicd
