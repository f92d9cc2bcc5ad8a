// SPDX-License-Identifier: Apache-2.0
// Stager: tells the agent of containers, remembers which it knows, and decides by the policy what
// becomes of those it does not. What connections share.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "docker/build_teller.h"
#include "docker/container_book.h"
#include "docker/docker_proxy.h"
#include "docker/event_loop.h"
#include "docker/http_call.h"

namespace cicd {

class Stager {
 public:
  // Whether the request goes on. Called once, later or at once.
  using Done = std::function<void(bool)>;

  Stager(EventLoop& loop, const DockerProxyOptions& options, const Log& log)
      : loop_(loop),
        options_(options),
        log_(log),
        book_(options.containers),
        builds_(loop, options, log) {}

  bool is_refusing() const {
    return options_.on_agent_down == DockerProxyOptions::OnAgentDown::kRefuse;
  }
  // False: the policy is to refuse, and nobody listens at the agent's socket.
  bool may_create();
  // dockerd has made a container: stages its cgroup's names. `request`: the body of the create, or
  // empty when it was not kept. When it must not be used, it is removed.
  void created(const std::string& id, const std::string& name, std::string_view request,
               int peer_pid, Done done);
  // Before a container is started.
  void starts(const std::string& name, int peer_pid, Done done);
  // A build of the classic builder is about to start this container, by the head of its id. dockerd
  // does not wait for us; it takes longer to start one than we to have it staged, mostly. The agent
  // notices when it did not.
  void build_step(const std::string& head, int peer_pid);
  BuildTeller& builds() { return builds_; }
  void renamed() { book_.forget_names(); }

  DockerProxyStats& stats() { return stats_; }
  const DockerProxyStats& stats() const { return stats_; }
  const Log& log() { return log_; }

 private:
  struct Outcome;
  std::shared_ptr<const JobDescription> labels(const std::string& id, std::string_view body);
  struct Container {
    std::string id;
    std::string name;
    std::shared_ptr<const JobDescription> job;  // that its labels name
    bool is_new = false;                        // it has never been started
  };
  HttpCall staging_call(const std::string& body) const;
  void stage(const Container& container, int peer_pid, Done done);
  void staged(const std::string& id, const Outcome& outcome);
  void inspect(const std::string& name, int peer_pid, const Done& done);
  void remove(const std::string& id);

  EventLoop& loop_;
  const DockerProxyOptions& options_;
  const Log& log_;
  ContainerBook book_;
  BuildTeller builds_;
  DockerProxyStats stats_;
};

}  // namespace cicd
