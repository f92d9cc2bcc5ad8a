// SPDX-License-Identifier: Apache-2.0
// The Unix socket that a server listens on: made so that two servers never fight for one path.
// Any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

class ListenSocket {
 public:
  // Makes the last folder of the path when it is missing. kResource: a living server has it.
  static Result<ListenSocket> open(const std::string& path, unsigned mode);
  ListenSocket(ListenSocket&& other) noexcept = default;
  ListenSocket& operator=(ListenSocket&& other) noexcept = default;
  // Removes the socket; the lock file stays, as removing it would let two in.
  ~ListenSocket();

  UniqueFd take() { return std::move(fd_); }

 private:
  ListenSocket() = default;
  UniqueFd fd_;
  UniqueFd lock_;
  std::string path_;
};

}  // namespace cicd
