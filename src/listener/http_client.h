// SPDX-License-Identifier: Apache-2.0
// http_post: one request to an agent's socket and its answer, for commands that a job's hooks run.
// Blocks. Thread: any.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "base/result.h"

namespace cicd {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

struct HttpClientLimits {
  std::chrono::milliseconds timeout{30'000};  // for all of it
  std::size_t answer_bytes = std::size_t{64} << 20;
};

// kNotFound: nobody listens there; kTimeout; kIo: what came is no answer. Any status is an answer.
Result<HttpAnswer> http_post(const std::string& socket_path, const std::string& path,
                             const std::string& body, const HttpClientLimits& limits = {});

}  // namespace cicd
