// SPDX-License-Identifier: Apache-2.0
#include "listener/http_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/unique_fd.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a service manager may take to start an agent again that was killed.
constexpr std::chrono::seconds kRestartTime{10};

class Exchange {
 public:
  Exchange(const std::string& socket_path, const HttpClientLimits& limits)
      : socket_path_(socket_path), limits_(limits), end_(steady_clock::now() + limits.timeout) {}

  Result<void> connect();
  Result<void> send(std::string_view bytes);
  // Until the other side closes, which it is asked to do.
  Result<std::string> receive();

 private:
  Result<void> wait(short events);
  std::unexpected<Error> failed(const char* what, int error) const {
    return std::unexpected(Error{
        ErrorCode::kIo, error, std::string(what) + " the agent: " + std::strerror(error), {}});
  }

  const std::string& socket_path_;
  const HttpClientLimits& limits_;
  steady_clock::time_point end_;
  UniqueFd fd_;
};

Result<void> Exchange::wait(short events) {
  const auto left = std::chrono::duration_cast<milliseconds>(end_ - steady_clock::now());
  pollfd ready{fd_.get(), events, 0};
  const int count = left.count() <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left.count()) + 1);
  if (count > 0 || (count < 0 && errno == EINTR)) return {};
  if (count < 0) return failed("wait for", errno);
  return fail(ErrorCode::kTimeout,
              "the agent at " + socket_path_ + " did not answer within " +
                  std::to_string(limits_.timeout.count()) + " ms",
              "look at its log: is it busy, or stopped?");
}

Result<void> Exchange::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.empty() || socket_path_.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::kUsage, "'" + socket_path_ + "' cannot be the path of a socket",
                "at most " + std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) return failed("make a socket for", errno);
  // EAGAIN: its queue of connections is full. ECONNREFUSED: the agent that made the socket was
  // killed, and the next one will be there soon.
  const auto restart_end = std::min(end_, steady_clock::now() + kRestartTime);
  while (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EINTR) continue;
    if ((errno == EAGAIN && steady_clock::now() < end_) ||
        (errno == ECONNREFUSED && steady_clock::now() < restart_end)) {
      ::poll(nullptr, 0, 10);
      continue;
    }
    const int error = errno;
    if (error != ENOENT && error != ECONNREFUSED && error != ENOTDIR) {
      return failed("connect to", error);
    }
    return fail(ErrorCode::kNotFound, "no agent listens at " + socket_path_,
                "is cicd-sensor-agent running? --socket names another path");
  }
  return {};
}

Result<void> Exchange::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    // It may have answered already without reading everything.
    if (errno == EPIPE || errno == ECONNRESET) return {};
    if (errno != EAGAIN && errno != EINTR) return failed("write to", errno);
    CICD_TRY(wait(POLLOUT));
  }
  return {};
}

Result<std::string> Exchange::receive() {
  std::string bytes;
  char buffer[16384];
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    if (size == 0) return bytes;
    if (size > 0) {
      bytes.append(buffer, static_cast<std::size_t>(size));
      if (bytes.size() <= limits_.answer_bytes) continue;
      return fail(ErrorCode::kIo, "the agent's answer is larger than " +
                                      std::to_string(limits_.answer_bytes) + " bytes");
    }
    if (errno == ECONNRESET && !bytes.empty()) return bytes;
    if (errno != EAGAIN && errno != EINTR) return failed("read from", errno);
    CICD_TRY(wait(POLLIN));
  }
}

// "HTTP/1.1 200 OK", header lines, an empty line, the body.
Result<HttpAnswer> parse(const std::string& bytes) {
  const std::size_t head_end = bytes.find("\r\n\r\n");
  constexpr std::string_view kStart = "HTTP/1.1 ";
  HttpAnswer answer;
  const char* status = bytes.data() + kStart.size();
  if (head_end == std::string::npos || !bytes.starts_with(kStart) ||
      std::from_chars(status, status + 3, answer.status).ec != std::errc() || answer.status < 100) {
    return fail(ErrorCode::kIo, "what answered is no agent",
                "--socket must name the socket of a cicd-sensor agent");
  }
  answer.body = bytes.substr(head_end + 4);
  // The agent may die in the middle of it.
  std::size_t length = 0;
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const std::size_t header = bytes.find(kLength);
  if (header >= head_end ||
      std::from_chars(bytes.data() + header + kLength.size(), bytes.data() + head_end, length).ec !=
          std::errc() ||
      length != answer.body.size()) {
    return fail(ErrorCode::kIo, "the agent's answer is cut short", "look at its log: did it end?");
  }
  while (answer.body.ends_with('\n')) answer.body.pop_back();
  return answer;
}

// `was_cut`: the agent took the request and was gone before it said anything.
Result<HttpAnswer> post_once(const std::string& socket_path, const std::string& request,
                             const HttpClientLimits& limits, bool& was_cut) {
  Exchange exchange(socket_path, limits);
  CICD_TRY(exchange.connect());
  CICD_TRY(exchange.send(request));
  const Result<std::string> bytes = exchange.receive();
  was_cut = bytes ? bytes->empty() : bytes.error().sys_errno == ECONNRESET;
  if (!bytes) return std::unexpected(bytes.error());
  return parse(*bytes);
}

}  // namespace

Result<HttpAnswer> http_post(const std::string& socket_path, const std::string& path,
                             const std::string& body, const HttpClientLimits& limits) {
  const std::string request = "POST " + path +
                              " HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n"
                              "Connection: close\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  bool was_cut = false;
  Result<HttpAnswer> answer = post_once(socket_path, request, limits, was_cut);
  // The next agent has the job as this one had it.
  if (was_cut) answer = post_once(socket_path, request, limits, was_cut);
  return answer;
}

}  // namespace cicd
