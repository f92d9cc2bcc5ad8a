// SPDX-License-Identifier: Apache-2.0
// HttpCall: one request over a Unix socket and its answer, without waiting, in an EventLoop.
//
// Threads: the loop's. The call keeps itself alive until it is answered or its time is over.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "docker/event_loop.h"

namespace cicd {

struct HttpCallAnswer {
  unsigned status = 0;
  std::string body;
};
using HttpCallDone = std::function<void(Result<HttpCallAnswer>)>;

struct HttpCall {
  std::string socket_path;
  std::string request;  // head and body; asks for "Connection: close"
  std::chrono::milliseconds timeout{1'000};
};
// Text of a request as HttpCall wants it; an empty body is none.
std::string http_request(std::string_view method, const std::string& target,
                         const std::string& body);
// How long the agent may take to answer.
std::chrono::milliseconds agent_patience(bool is_gitlab);

// `done` is called once, later or before this returns. kNotFound, kPermission, ...: cannot be
// connected to; kTimeout; kIo: what came is no answer.
void start_call(EventLoop& loop, HttpCall call, HttpCallDone done);

}  // namespace cicd
