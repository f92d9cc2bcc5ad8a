// SPDX-License-Identifier: Apache-2.0
// The proxy between sockets of the test: client, dockerd and agent are played byte by byte.
#include "docker/docker_proxy.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "docker/unix_connect.h"

namespace cicd {

namespace {

constexpr int kPatienceMs = 10'000;
const std::string kId(64, 'a');
const std::string kCreate =
    "POST /v1.41/containers/create?name=web HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}";
const std::string kCreateBody = "{\"Id\":\"" + kId + "\",\"Warnings\":[]}\n";
const std::string kCreated =
    "HTTP/1.1 201 Created\r\nContent-Length: " + std::to_string(kCreateBody.size()) + "\r\n\r\n" +
    kCreateBody;
const std::string kStaged =
    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"staged\"}\n";

bool wait_readable(int fd, int patience_ms = kPatienceMs) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, patience_ms) == 1;
}

// One end of a connection, played by the test.
class Peer {
 public:
  explicit Peer(UniqueFd fd) : fd_(std::move(fd)) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size < 0 && errno == EAGAIN) {
        pollfd ready{fd_.get(), POLLOUT, 0};
        ASSERT_EQ(::poll(&ready, 1, kPatienceMs), 1);
        continue;
      }
      ASSERT_GT(size, 0) << std::strerror(errno);
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  // So many bytes, fewer when it ends.
  std::string receive(std::size_t size) {
    std::string got;
    char buffer[65536];
    while (got.size() < size && wait_readable(fd_.get())) {
      const ssize_t count =
          ::recv(fd_.get(), buffer, std::min(sizeof(buffer), size - got.size()), 0);
      if (count <= 0) break;
      got.append(buffer, static_cast<std::size_t>(count));
    }
    return got;
  }
  std::string receive_until(std::string_view end) {
    std::string got;
    while (!got.ends_with(end)) {
      const std::string more = receive(1);
      if (more.empty()) break;
      got += more;
    }
    return got;
  }
  void expect(const std::string& want) { EXPECT_EQ(receive(want.size()), want); }
  void expect_end() { EXPECT_EQ(receive(1), ""); }
  void expect_nothing() { EXPECT_FALSE(wait_readable(fd_.get(), 50)); }
  void end() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

class DockerProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cicd-proxy-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    options_.upstream_socket = folder_ + "/up";
    options_.listen_socket = folder_ + "/proxy";
    options_.agent_socket = folder_ + "/agent";
    stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    options_.stop_fd = stop_.get();
    upstream_ = *listen_unix(options_.upstream_socket);
    agent_ = *listen_unix(options_.agent_socket);
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(folder_);
  }
  void start() {
    auto proxy = DockerProxy::listen(options_);
    ASSERT_TRUE(proxy) << proxy.error().text;
    proxy_ = std::move(*proxy);
    thread_ = std::thread([this] { proxy_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(stop_.get(), &one, sizeof(one)), 8);
    thread_.join();
  }
  Peer client() {
    auto fd = connect_unix(options_.listen_socket);
    EXPECT_TRUE(fd);
    return Peer(fd ? std::move(*fd) : UniqueFd());
  }
  Peer accept(const UniqueFd& listener) {
    EXPECT_TRUE(wait_readable(listener.get()));
    return Peer(UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)));
  }
  Peer dockerd() { return accept(upstream_); }
  // Answers both requests that stage a container; their bodies.
  std::string answer_agent(const std::string& answer = kStaged, int calls = 2) {
    std::string bodies;
    for (int i = 0; i < calls; ++i) {
      Peer peer = accept(agent_);
      peer.receive_until("\r\n\r\n");
      bodies += peer.receive_until("}");
      peer.send(answer);
    }
    return bodies;
  }

  std::string folder_;
  DockerProxyOptions options_;
  UniqueFd stop_, upstream_, agent_;
  std::unique_ptr<DockerProxy> proxy_;
  std::thread thread_;
};

TEST_F(DockerProxyTest, HoldsACreateUntilTheAgentKnows) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  client.send(kCreate);
  dockerd.expect(kCreate);
  dockerd.send(kCreated);
  Peer first = accept(agent_);
  client.expect_nothing();
  first.receive_until("}");
  first.send(kStaged);
  client.expect_nothing();
  Peer second = accept(agent_);
  second.receive_until("}");
  second.send(kStaged);
  client.expect(kCreated);
  // A start goes at once now.
  const std::string start_request = "POST /containers/web/start HTTP/1.1\r\nHost: d\r\n\r\n";
  client.send(start_request);
  dockerd.expect(start_request);
  stop();
  EXPECT_EQ(proxy_->stats().creates, 1u);
  EXPECT_EQ(proxy_->stats().staged, 1u);
}

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

TEST_F(DockerProxyTest, ABuildBeginsWhenTheAgentKnowsOfIt) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  const auto answer_builds = [this] {
    Peer peer = accept(agent_);
    const std::string head = peer.receive_until("\r\n\r\n");
    EXPECT_TRUE(head.starts_with("POST /v1/github/builds/put ")) << head;
    std::string body = peer.receive_until("]}");
    peer.send(kOk);
    return body;
  };
  const std::string build = "POST /v1.41/build?version=2 HTTP/1.1\r\nContent-Length: 3\r\n\r\ntar";
  client.send(build);
  dockerd.expect_nothing();
  const std::string one = answer_builds();
  EXPECT_NE(one.find("\"peer_pid\":" + std::to_string(::getpid())), std::string::npos) << one;
  dockerd.expect(build);
  // Another one, through the other door.
  Peer other = this->client();
  Peer other_dockerd = this->dockerd();
  const std::string grpc = "POST /grpc HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
  other.send(grpc);
  EXPECT_GT(answer_builds().size(), one.size());
  other_dockerd.expect(grpc);
  other_dockerd.send("HTTP/1.1 101 UPGRADED\r\n\r\n");
  other.receive_until("\r\n\r\n");
  // The first ends with its answer, the second with its connection.
  dockerd.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{");
  client.receive_until("{");
  EXPECT_FALSE(wait_readable(agent_.get(), 50));
  dockerd.send("}");
  EXPECT_EQ(answer_builds().size(), one.size());
  other.close();
  EXPECT_EQ(answer_builds(), "{\"builds\":[]}");
}

TEST_F(DockerProxyTest, ABuildThatCannotBeWatched) {
  options_.on_agent_down = DockerProxyOptions::OnAgentDown::kRefuse;
  start();
  for (const char* path : {"/build?version=2", "/grpc"}) {
    Peer client = this->client();
    Peer dockerd = this->dockerd();
    client.send("POST " + std::string(path) + " HTTP/1.1\r\nHost: d\r\n\r\n");
    accept(agent_);          // looks whether it is there
    accept(agent_).close();  // and says nothing
    EXPECT_TRUE(client.receive_until("\r\n\r\n").starts_with("HTTP/1.1 503 "));
    client.receive_until("\n");
    accept(agent_).send(kOk);
    dockerd.expect_nothing();
  }
}

// A chunk of a build's output that says that this container runs now.
std::string running_in(const std::string& id) {
  const std::string line =
      "{\"stream\":\" ---\\u003e Running in " + id.substr(0, 12) + "\\n\"}\r\n";
  constexpr std::string_view kDigits = "0123456789abcdef";
  return std::string{kDigits[line.size() / 16], kDigits[line.size() % 16]} + "\r\n" + line + "\r\n";
}

TEST_F(DockerProxyTest, StepsOfTheClassicBuilderAreStaged) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  const std::string build = "POST /build?t=x HTTP/1.1\r\nContent-Length: 3\r\n\r\ntar";
  client.send(build);
  dockerd.expect(build);
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  dockerd.send(head);
  client.expect(head);
  const auto inspected = [&](const std::string& id, const std::string& status) {
    dockerd.send(running_in(id));
    client.expect(running_in(id));
    Peer asked = this->dockerd();
    const std::string request = asked.receive_until("\r\n\r\n");
    EXPECT_TRUE(request.starts_with("GET /containers/json?all=1&")) << request;
    EXPECT_NE(request.find(id.substr(0, 12)), std::string::npos) << request;
    const std::string body = R"([{"Id":")" + id + R"(","State":")" + status + "\"}]";
    asked.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body);
  };
  inspected(kId, "created");
  const std::string staged = answer_agent();
  EXPECT_NE(staged.find("docker-" + kId + ".scope"), std::string::npos);
  EXPECT_NE(staged.find(R"("container":"new")"), std::string::npos) << "it has not run yet";
  // What a step prints looks the same: it names no container that is known or runs already.
  dockerd.send(running_in(kId));
  client.expect(running_in(kId));
  EXPECT_FALSE(wait_readable(upstream_.get(), 50));
  inspected(std::string(64, 'b'), "running");
  const std::string missed = answer_agent(R"({"status":"ignored"})", 1);
  EXPECT_NE(missed.find(R"("basename":"bbbbbbbbbbbb")"), std::string::npos) << missed;
  EXPECT_NE(missed.find(R"("container":"missed")"), std::string::npos) << missed;
  EXPECT_FALSE(wait_readable(agent_.get(), 50));
  dockerd.send("0\r\n\r\n");
  client.expect("0\r\n\r\n");
}

TEST_F(DockerProxyTest, ReadsMessagesInPiecesOfAnySize) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  for (const char& c : kCreate) client.send({&c, 1});
  dockerd.expect(kCreate);
  const std::size_t rest = kCreateBody.size() - 5;
  ASSERT_LT(rest, 256u);
  const std::string size = {"0123456789abcdef"[rest / 16], "0123456789abcdef"[rest % 16]};
  const std::string whole = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" +
                            kCreateBody.substr(0, 5) + "\r\n" + size + "\r\n" +
                            kCreateBody.substr(5) + "\r\n0\r\n\r\n";
  for (const char& c : whole) dockerd.send({&c, 1});
  const std::string bodies = answer_agent();
  EXPECT_NE(bodies.find("docker-" + kId + ".scope"), std::string::npos) << bodies;
  client.expect(whole);
}

TEST_F(DockerProxyTest, TwoRequestsAtOnceAreOneAfterTheOther) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  const std::string first = "POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
  client.send(first + kCreate);
  dockerd.expect(first);
  dockerd.expect_nothing();
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
  dockerd.send(answer);
  client.expect(answer);
  dockerd.expect(kCreate);
  dockerd.send(kCreated);
  answer_agent();
  client.expect(kCreated);
}

TEST_F(DockerProxyTest, StreamsGoBothWaysAndEndByHalves) {
  start();
  for (const std::string head :
       {"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}) {
    Peer client = this->client();
    Peer dockerd = this->dockerd();
    const std::string request = "POST /exec/1/start HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    client.send(request);
    dockerd.expect(request);
    dockerd.send(head + "early");
    client.expect(head + "early");
    // Looks like a request and is none.
    client.send(kCreate);
    dockerd.expect(kCreate);
    client.end();
    dockerd.expect_end();
    dockerd.send("late");
    client.expect("late");
    dockerd.close();
    client.expect_end();
  }
  stop();
  EXPECT_EQ(proxy_->stats().creates, 0u);
}

TEST_F(DockerProxyTest, MuchGoesThroughPipesUnchanged) {
  start();
  std::string data(24u << 20, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761u >> 13);
  const std::string length = std::to_string(data.size());
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  const std::string head = "POST /build HTTP/1.1\r\nContent-Length: " + length + "\r\n\r\n";
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\n";
  std::thread sender([&] { client.send(head + data); });
  dockerd.expect(head);
  EXPECT_TRUE(dockerd.receive(data.size()) == data);
  sender.join();
  std::thread answerer([&] { dockerd.send(answer + data); });
  client.expect(answer);
  EXPECT_TRUE(client.receive(data.size()) == data);
  answerer.join();
  // Then a stream, and its framing is still right.
  client.send("POST /attach HTTP/1.1\r\n\r\n");
  dockerd.receive_until("\r\n\r\n");
  std::thread streamer([&] {
    dockerd.send("HTTP/1.1 200 OK\r\n\r\n" + data);
    dockerd.close();
  });
  client.receive_until("\r\n\r\n");
  EXPECT_TRUE(client.receive(data.size()) == data);
  streamer.join();
  client.expect_end();
}

TEST_F(DockerProxyTest, AClientThatGoesIsToldToDockerd) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  client.send("GET /events HTTP/1.1\r\n\r\n");
  dockerd.receive_until("\r\n\r\n");
  dockerd.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.receive_until("\r\n\r\n");
  client.close();
  dockerd.expect_end();
}

TEST_F(DockerProxyTest, AClientThatGoesWhileItsCreateIsHeldIsNoTrouble) {
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  client.send(kCreate);
  dockerd.expect(kCreate);
  dockerd.send(kCreated);
  // Held once the agent is asked.
  Peer first = accept(agent_);
  client.close();
  first.receive_until("}");
  first.send(kStaged);
  Peer second = accept(agent_);
  second.receive_until("}");
  second.send(kStaged);
  Peer other = this->client();
  Peer again = this->dockerd();
  other.send("GET /_ping HTTP/1.1\r\n\r\n");
  again.receive_until("\r\n\r\n");
}

TEST_F(DockerProxyTest, DockerdThatGoesEndsTheClient) {
  start();
  for (const std::string& answer :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Le"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("nonsense\r\n\r\n"), kCreated.substr(0, kCreated.size() - 4)}) {
    Peer client = this->client();
    Peer dockerd = this->dockerd();
    client.send(kCreate);
    dockerd.expect(kCreate);
    dockerd.send(answer);
    dockerd.close();
    client.expect(answer);
    client.expect_end();
  }
}

TEST_F(DockerProxyTest, AgentsThatAnswerNonsense) {
  start();
  for (const std::string& answer :
       {std::string(), std::string("x"), std::string("HTTP/1.1 999 x\r\n\r\n"),
        kStaged.substr(0, 20), std::string("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}")}) {
    Peer client = this->client();
    Peer dockerd = this->dockerd();
    client.send(kCreate);
    dockerd.expect(kCreate);
    dockerd.send(kCreated);
    for (int i = 0; i < 2; ++i) {
      Peer peer = accept(agent_);
      peer.receive_until("}");
      peer.send(answer);
    }
    client.expect(kCreated);
  }
  stop();
  EXPECT_EQ(proxy_->stats().unstaged, 5u);
}

TEST_F(DockerProxyTest, RefusesWhenTheAgentIsDown) {
  agent_.reset();
  options_.on_agent_down = DockerProxyOptions::OnAgentDown::kRefuse;
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  client.send(kCreate + "GET /_ping HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.receive_until("}\n").starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_EQ(dockerd.receive_until("\r\n\r\n"), "GET /_ping HTTP/1.1\r\n\r\n");
}

TEST_F(DockerProxyTest, RemovesWhatTheAgentDoesNotTake) {
  options_.on_agent_down = DockerProxyOptions::OnAgentDown::kRefuse;
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  client.send(kCreate);
  dockerd.expect(kCreate);
  accept(agent_).close();  // the look whether it is there
  dockerd.send(kCreated);
  answer_agent("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_TRUE(client.receive_until("}\n").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(this->dockerd()
                  .receive_until("\r\n\r\n")
                  .starts_with("DELETE /containers/" + kId + "?v=1 HTTP/1.1\r\n"));
}

TEST_F(DockerProxyTest, LargeCreatesPassWithoutLabels) {
  options_.is_gitlab = true;
  options_.label_bytes = 1000;
  start();
  Peer client = this->client();
  Peer dockerd = this->dockerd();
  const std::string body(5000, ' ');
  const std::string request =
      "POST /containers/create HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + body;
  client.send(request);
  dockerd.expect(request);
  dockerd.send(kCreated);
  EXPECT_EQ(answer_agent().find("job_identity"), std::string::npos);
  client.expect(kCreated);
}

TEST_F(DockerProxyTest, TheSocketIsMadeByTheUmask) {
  const mode_t before = ::umask(0117);
  start();
  ::umask(before);
  struct stat about{};
  ASSERT_EQ(::stat(options_.listen_socket.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0660u);
  EXPECT_EQ(DockerProxy::listen(options_).error().code, ErrorCode::kResource);
  stop();
  proxy_.reset();
  EXPECT_NE(::stat(options_.listen_socket.c_str(), &about), 0);
  // What a dead one left is replaced.
  {
    const auto left = listen_unix(options_.listen_socket);
  }
  start();
  options_.upstream_socket = options_.listen_socket;
  EXPECT_EQ(DockerProxy::listen(options_).error().code, ErrorCode::kUsage);
}

}  // namespace

}  // namespace cicd
