// SPDX-License-Identifier: Apache-2.0
// HttpServer: HTTP/1.1 over a Unix socket, for small programs on the same machine that send JSON.
// Everybody on the machine may connect, so everything that arrives is hostile: sizes, times and the
// number of connections are bounded, and one that stalls costs a few KiB until its time is over.
//
// Only POST, only the routes that were given: 404 for another path, 405 for another method, 413 for
// a body above the limit, 400 for what is no HTTP. Requests of one connection are answered one
// after the other; a second one that was sent too early waits.
//
// Threads: run() on one; handlers are called on it and must not block. stop() and a Responder from
// any thread. Lifetime: a Responder may outlive the server; its answer then goes nowhere.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// Who connected, as the kernel has it (SO_PEERCRED): true when the connection was made.
struct HttpPeer {
  pid_t pid = 0;  // 0: in a pid namespace that is not ours
  uid_t uid = 0;
  gid_t gid = 0;
  // Of the process, where the kernel has SO_PEERPIDFD (6.5): its pid may be another one's by now.
  std::shared_ptr<const UniqueFd> pidfd;
};

struct HttpRequest {
  std::string path;
  std::string body;
  HttpPeer peer;
};

struct HttpResponse {
  unsigned status = 200;
  std::string body;  // a newline is added to JSON
  std::string content_type = "application/json";
};
// {"error": "<message>"}
HttpResponse http_error(unsigned status, const std::string& message);

// Answers one request, once; later answers are ignored. Gone without one: status 500.
class HttpResponder {
 public:
  struct State;
  explicit HttpResponder(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void operator()(HttpResponse response) const;

 private:
  std::shared_ptr<State> state_;
};

using HttpHandler = std::function<void(HttpRequest request, HttpResponder respond)>;

struct HttpRoute {
  std::string path;  // exact
  HttpHandler handler;
};

struct HttpLimits {
  std::chrono::milliseconds header_timeout{5'000};
  std::chrono::milliseconds read_timeout{30'000};  // of a body
  std::chrono::milliseconds write_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};  // between two requests
  std::uint32_t header_bytes = 16u << 10;
  std::uint64_t body_bytes = 16u << 20;
  // At most this many bodies above small_body_bytes are read at a time; 503 beyond.
  std::uint64_t small_body_bytes = 256u << 10;
  std::size_t large_bodies = 4;
  // When there are more, the one that has waited longest for its request has to go.
  std::size_t connections = 512;
};

struct HttpStats {
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;  // that reached a handler
  std::uint64_t refused = 0;   // answered with 4xx or 503 before a handler
  std::uint64_t evicted = 0;   // closed to make room
};

class HttpServer {
 public:
  // Makes the socket with the mode 0777; `path` ends in its name. kResource: another one that lives
  // listens there (a lock file beside the socket tells); what a dead one left is replaced.
  static Result<std::unique_ptr<HttpServer>> listen(const std::string& path,
                                                    std::vector<HttpRoute> routes,
                                                    const HttpLimits& limits = {});
  virtual ~HttpServer() = default;

  // Serves until stop(); requests that a handler has then are given `patience` to be answered.
  virtual void run() = 0;
  virtual void stop(std::chrono::milliseconds patience = std::chrono::seconds(5)) = 0;
  virtual HttpStats stats() const = 0;
};

}  // namespace cicd
