// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_proxy.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "docker/connection.h"
#include "docker/unix_connect.h"

namespace cicd {

namespace {

constexpr std::chrono::milliseconds kAcceptAgain{50};

class Proxy final : public DockerProxy {
 public:
  Proxy(const DockerProxyOptions& options, std::unique_ptr<EventLoop> loop, UniqueFd listener)
      : options_(options),
        log_("docker_proxy"),
        loop_(std::move(loop)),
        listener_(std::move(listener)) {}
  ~Proxy() override;

  Result<void> begin();
  void run() override;
  DockerProxyStats stats() const override { return stager_.stats(); }
  void accept_all();

 private:
  bool accept_one();

  const DockerProxyOptions options_;
  Log log_;
  std::unique_ptr<EventLoop> loop_;
  UniqueFd listener_;
  // Goes after the stager, which holds connections that wait.
  ConnectionShared shared_{*loop_, options_, stager_};
  Stager stager_{*loop_, options_, log_};
};

class Acceptor final : public EventHandler {
 public:
  explicit Acceptor(Proxy& proxy) : proxy_(proxy) {}
  void on_event(int, std::uint32_t) override { proxy_.accept_all(); }

 private:
  Proxy& proxy_;
};

class Stopper final : public EventHandler {
 public:
  explicit Stopper(EventLoop& loop) : loop_(loop) {}
  void on_event(int, std::uint32_t events) override {
    if ((events & 1u) != 0) loop_.stop();
  }

 private:
  EventLoop& loop_;
};

Result<void> Proxy::begin() {
  if (!loop_->add(listener_.get(), std::make_shared<Acceptor>(*this))) {
    return fail_errno(errno, "watch " + options_.listen_socket);
  }
  if (options_.stop_fd >= 0 && !loop_->add(options_.stop_fd, std::make_shared<Stopper>(*loop_))) {
    return fail_errno(errno, "watch for the end");
  }
  return {};
}

Proxy::~Proxy() {
  // Connections share the loop, and the loop shares them.
  loop_->clear();
  ::unlink(options_.listen_socket.c_str());
}

void Proxy::run() {
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  log_.info(
      "proxy_started",
      {{"provider", options_.is_gitlab ? "gitlab" : "github"},
       {"listen_socket", options_.listen_socket},
       {"upstream_socket", options_.upstream_socket},
       {"agent_socket", options_.agent_socket},
       {"on_agent_down",
        options_.on_agent_down == DockerProxyOptions::OnAgentDown::kPass ? "pass" : "refuse"}});
  loop_->run();
  const DockerProxyStats& stats = stager_.stats();
  log_.info("proxy_stopped", {{"connections", std::to_string(stats.connections)},
                              {"creates", std::to_string(stats.creates)},
                              {"staged", std::to_string(stats.staged)},
                              {"unstaged", std::to_string(stats.unstaged)},
                              {"refused", std::to_string(stats.refused)}});
}

void Proxy::accept_all() {
  while (accept_one()) {
  }
}

// False when none is left.
bool Proxy::accept_one() {
  UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EAGAIN) return false;
    // Out of descriptors or memory: those that wait are taken when others have gone.
    log_.error("accept_failed", {{"reason", std::strerror(errno)}});
    loop_->call_at(EventLoop::Clock::now() + kAcceptAgain, [this] { accept_all(); });
    return false;
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  ++stager_.stats().connections;
  std::make_shared<Connection>(shared_, std::move(client), peer.pid)->begin();
  return true;
}

}  // namespace

Result<std::unique_ptr<DockerProxy>> DockerProxy::listen(const DockerProxyOptions& options) {
  if (options.listen_socket == options.upstream_socket) {
    return fail(ErrorCode::kUsage, "--listen-socket and --upstream-socket are the same",
                "dockerd listens at the latter, this proxy at the former");
  }
  CICD_ASSIGN(auto loop, EventLoop::make());
  CICD_ASSIGN(UniqueFd listener, listen_unix(options.listen_socket));
  auto proxy = std::make_unique<Proxy>(options, std::move(loop), std::move(listener));
  CICD_TRY(proxy->begin());
  return std::unique_ptr<DockerProxy>(std::move(proxy));
}

}  // namespace cicd
