// SPDX-License-Identifier: Apache-2.0
// DockerProxy: stands before dockerd's socket and tells the agent of each container that is made,
// before its maker hears of it; everything else passes unchanged. A container is started only when
// the agent knows its cgroup, so that not even its first instruction is missed.
//
// Threads: run() on one, which must not have anything else to do; it blocks SIGPIPE for itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace cicd {

struct DockerProxyOptions {
  enum class OnAgentDown { kPass, kRefuse };

  bool is_gitlab = false;  // else GitHub
  std::string upstream_socket = "/run/docker-upstream.sock";
  std::string listen_socket = "/run/docker.sock";
  std::string agent_socket = "/run/cicd-sensor/agent.sock";
  OnAgentDown on_agent_down = OnAgentDown::kPass;
  int stop_fd = -1;  // run() ends when it can be read; stays the caller's

  std::size_t label_bytes = std::size_t{4} << 20;       // most of a create that are kept
  std::size_t all_label_bytes = std::size_t{64} << 20;  // of all connections together
  std::size_t containers = std::size_t{1} << 16;        // that are remembered
  std::chrono::milliseconds upstream_patience{30'000};  // while its queue is full
};

struct DockerProxyStats {
  std::uint64_t connections = 0;
  std::uint64_t creates = 0;   // that dockerd answered with a container
  std::uint64_t staged = 0;    // stagings that the agent acknowledged
  std::uint64_t unstaged = 0;  // that it did not
  std::uint64_t refused = 0;   // requests answered with 503 for that
};

class DockerProxy {
 public:
  static Result<std::unique_ptr<DockerProxy>> listen(const DockerProxyOptions& options);
  virtual ~DockerProxy() = default;
  virtual void run() = 0;
  // After run().
  virtual DockerProxyStats stats() const = 0;
};

}  // namespace cicd
