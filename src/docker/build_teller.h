// SPDX-License-Identifier: Apache-2.0
// BuildTeller: keeps the agent told which builds of BuildKit are open, so that it can say whose the
// steps are that dockerd starts for them. Each time all of them, one request after the other: what
// is lost or comes again does no harm. While there are any it is told every two seconds, for an
// agent that has just started.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "docker/docker_proxy.h"
#include "docker/event_loop.h"

namespace cicd {

class BuildTeller {
 public:
  // False: the agent does not know of it.
  using Done = std::function<void(bool)>;

  BuildTeller(EventLoop& loop, const DockerProxyOptions& options, const Log& log)
      : loop_(loop), options_(options), log_(log) {}

  // Its number. `done` once, later or at once.
  std::uint64_t begin(int peer_pid, Done done);
  void end(std::uint64_t build);

 private:
  void tell();
  void tell_again_later();
  std::string body() const;
  bool has_told(unsigned status, const std::string& problem, std::size_t waits);

  EventLoop& loop_;
  const DockerProxyOptions& options_;
  const Log& log_;
  std::map<std::uint64_t, int> builds_;  // to the pid of the client
  std::uint64_t last_ = 0;
  std::vector<Done> waiting_;  // for the next request to be answered
  bool is_telling_ = false;
  bool is_failing_ = false;  // said in the log
  bool is_owed_ = false;     // the agent was not there to be told
  bool has_timer_ = false;
  bool has_changed_ = false;
};

}  // namespace cicd
