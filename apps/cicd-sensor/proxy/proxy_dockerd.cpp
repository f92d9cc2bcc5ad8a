// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_dockerd.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

#include "base/descriptors.h"
#include "base/unique_fd.h"
#include "docker/docker_proxy.h"

namespace cicd {

namespace {

Result<UniqueFd> end_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "signalfd");
  return fd;
}

}  // namespace

Result<void> run_proxy_dockerd(const CommandLine& line) {
  if (line.value("provider").empty()) {
    return fail(ErrorCode::kUsage, "no --provider given", "--provider github, or gitlab");
  }
  DockerProxyOptions options;
  options.is_gitlab = line.value("provider") == "gitlab";
  options.upstream_socket = line.value("upstream-socket");
  options.listen_socket = line.value("listen-socket");
  options.agent_socket = line.value("agent-socket");
  if (line.value("on-agent-down") == "refuse") {
    options.on_agent_down = DockerProxyOptions::OnAgentDown::kRefuse;
  }
  // A connection takes two, and four more while much goes through it.
  allow_many_descriptors();
  CICD_ASSIGN(const UniqueFd end, end_signals());
  options.stop_fd = end.get();
  CICD_ASSIGN(const auto proxy, DockerProxy::listen(options));
  proxy->run();
  return {};
}

}  // namespace cicd
