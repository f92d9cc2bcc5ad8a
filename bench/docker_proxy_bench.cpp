// SPDX-License-Identifier: Apache-2.0
// What the Docker proxy adds to a create: a dockerd and an agent that answer at once, so that all
// that is left is the way. bench/docker_proxy measures before a real dockerd.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "docker/docker_proxy.h"
#include "docker/unix_connect.h"

namespace cicd {

namespace {

const std::string kBody = R"({"Id":")" + std::string(64, 'a') + R"(","Warnings":[]})";
const std::string kCreated =
    "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
    "Content-Length: " +
    std::to_string(kBody.size()) + "\r\n\r\n" + kBody;
const std::string kStaged =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n{\"status\":\"staged\"}\n";

// Reads one request, "...}" at its end, and says whether there was one.
bool take_request(int fd, char last = '}') {
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::recv(fd, buffer, sizeof(buffer), 0);
    if (size <= 0) return false;
    if (buffer[size - 1] == last) return true;
  }
}

UniqueFd blocking(UniqueFd fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

// Answers each request of each connection with the same, until its listener is shut down.
class Server {
 public:
  Server(const std::string& path, const std::string& answer, bool closes)
      : listener_(blocking(*listen_unix(path))), accepter_([this, &answer, closes] {
          for (;;) {
            UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!fd) return;
            if (closes) {
              serve(fd.get(), answer, true);
            } else {
              others_.emplace_back(
                  [fd = std::move(fd), &answer] { serve(fd.get(), answer, false); });
            }
          }
        }) {}
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepter_.join();
    for (std::thread& other : others_) other.join();
  }

 private:
  static void serve(int fd, const std::string& answer, bool once) {
    while (take_request(fd)) {
      ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      if (once) return;
    }
  }

  UniqueFd listener_;
  std::vector<std::thread> others_;
  std::thread accepter_;
};

class World {
 public:
  World() {
    char name[] = "/tmp/cicd-proxy-bench-XXXXXX";
    folder_ = ::mkdtemp(name);
    options_.upstream_socket = folder_ + "/up";
    options_.listen_socket = folder_ + "/proxy";
    options_.agent_socket = folder_ + "/agent";
    stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    options_.stop_fd = stop_.get();
    dockerd_ = std::make_unique<Server>(options_.upstream_socket, kCreated, false);
    agent_ = std::make_unique<Server>(options_.agent_socket, kStaged, true);
    proxy_ = std::move(*DockerProxy::listen(options_));
    thread_ = std::thread([this] { proxy_->run(); });
  }
  ~World() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
    proxy_.reset();
    dockerd_.reset();
    agent_.reset();
    std::filesystem::remove_all(folder_);
  }
  UniqueFd connect(bool through_proxy) const {
    return blocking(
        *connect_unix(through_proxy ? options_.listen_socket : options_.upstream_socket));
  }
  UniqueFd connect_agent() const { return blocking(*connect_unix(options_.agent_socket)); }

 private:
  std::string folder_;
  DockerProxyOptions options_;
  UniqueFd stop_;
  std::unique_ptr<Server> dockerd_;
  std::unique_ptr<Server> agent_;
  std::unique_ptr<DockerProxy> proxy_;
  std::thread thread_;
};

void ask(benchmark::State& state, bool through_proxy, const std::string& target) {
  const World world;
  const UniqueFd client = world.connect(through_proxy);
  const std::string request =
      "POST " + target + " HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}";
  for (auto _ : state) {
    ::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (!take_request(client.get())) state.SkipWithError("no answer");
  }
}

void direct(benchmark::State& state) { ask(state, false, "/containers/create"); }
void passed(benchmark::State& state) { ask(state, true, "/containers/other"); }
void created(benchmark::State& state) { ask(state, true, "/containers/create"); }

// What of that is the agent's: the same two requests at once, by somebody else.
void agent(benchmark::State& state) {
  const World world;
  const std::string request = "POST /v1/github/staging/put HTTP/1.1\r\nHost: d\r\n\r\n{}";
  for (auto _ : state) {
    const UniqueFd two[] = {world.connect_agent(), world.connect_agent()};
    for (const UniqueFd& fd : two) ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    for (const UniqueFd& fd : two) {
      if (!take_request(fd.get(), '\n')) state.SkipWithError("no answer");
    }
  }
}

BENCHMARK(agent)->UseRealTime()->Name("answer/agent_alone");
BENCHMARK(direct)->UseRealTime()->Name("answer/direct");
BENCHMARK(passed)->UseRealTime()->Name("answer/passed_on");
BENCHMARK(created)->UseRealTime()->Name("answer/create_with_staging");

}  // namespace

}  // namespace cicd
