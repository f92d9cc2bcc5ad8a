// SPDX-License-Identifier: Apache-2.0
#include "listener/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

namespace cicd {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// A client that sends bytes as a test wants them.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    is_connected_ =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  bool is_connected() const { return is_connected_; }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end() const { ::shutdown(fd_.get(), SHUT_WR); }
  // What comes until `wanted` is in it, the server closes, or 10 s are over.
  std::string read_until(std::string_view wanted) const {
    std::string out;
    while (wanted.empty() || out.find(wanted) == std::string::npos) {
      pollfd ready{fd_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 10'000) <= 0) return out + "<nothing more came>";
      char bytes[4096];
      const ssize_t size = ::read(fd_.get(), bytes, sizeof(bytes));
      if (size <= 0) return out;
      out.append(bytes, static_cast<std::size_t>(size));
    }
    return out;
  }
  std::string read_all() const { return read_until(""); }

 private:
  UniqueFd fd_;
  bool is_connected_ = false;
};

std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + more + "\r\n" + body;
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    char folder[] = "/tmp/cicd-http-XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/agent.sock";
    limits_.header_timeout = 300ms;
    limits_.read_timeout = 300ms;
    limits_.idle_timeout = 300ms;
    limits_.body_bytes = 100'000;
    limits_.small_body_bytes = 1'000;
    limits_.large_bodies = 1;
    limits_.connections = 8;
  }
  ~HttpServerTest() override {
    stop();
    std::filesystem::remove_all(folder_);
  }
  void serve() {
    auto server = HttpServer::listen(
        path_,
        {{"/echo", [](const HttpRequest& request,
                      const HttpResponder& respond) { respond({200, "[" + request.body + "]"}); }},
         {"/peer",
          [](const HttpRequest& request, const HttpResponder& respond) {
            respond(
                {200, std::to_string(request.peer.pid) + " " + std::to_string(request.peer.uid)});
          }},
         {"/later", [this](const HttpRequest&,
                           HttpResponder respond) { later_.set_value(std::move(respond)); }},
         {"/forgotten", [](const HttpRequest&, const HttpResponder&) {}}},
        limits_);
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    server_->stop(2s);
    thread_.join();
  }

  std::string folder_, path_;
  HttpLimits limits_;
  std::unique_ptr<HttpServer> server_;
  std::promise<HttpResponder> later_;  // of the one request to /later
  std::thread thread_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  serve();
  const Client client(path_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(post("/echo", std::to_string(i))));
    const std::string got = client.read_until("]\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(got, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(got, HasSubstr("[" + std::to_string(i) + "]\n"));
  }
  EXPECT_EQ(server_->stats().requests, 3u);
}

TEST_F(HttpServerTest, RequestsSentTooEarlyAreAnsweredInOrder) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/echo", "a") + post("/echo", "b") + post("/none", "c")));
  const std::string got = client.read_all();
  EXPECT_LT(got.find("[a]"), got.find("[b]"));
  EXPECT_LT(got.find("[b]"), got.find("404 page not found"));
}

TEST_F(HttpServerTest, AnswersFromAnotherThread) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/later", "{}")));
  const HttpResponder later = later_.get_future().get();
  std::thread([&later] {
    later({200, "done"});
    later({200, "twice"});
  }).join();
  EXPECT_THAT(client.read_until("done\n"), HasSubstr("200 OK"));
  ASSERT_TRUE(client.send(post("/echo", "x")));
  EXPECT_THAT(client.read_until("]\n"), testing::Not(HasSubstr("twice")));
}

TEST_F(HttpServerTest, ARequestNobodyAnswersIsAnError) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/forgotten", "{}")));
  EXPECT_THAT(client.read_until("}\n"), HasSubstr("500 Internal Server Error"));
}

TEST_F(HttpServerTest, SaysWhoThePeerIs) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/peer", "")));
  const std::string wanted = std::to_string(::getpid()) + " " + std::to_string(::getuid()) + "\n";
  EXPECT_THAT(client.read_until(wanted), HasSubstr(wanted));
}

TEST_F(HttpServerTest, RefusesWhatIsNoRequestOfOurs) {
  serve();
  const std::pair<std::string, std::string> cases[] = {
      {post("/none", "{}"), "404 Not Found"},
      {post("/echo?x=1", "{}"), "404 Not Found"},
      {"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"},
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"POST /echo HTTP/9.9\r\n\r\n", "400 Bad Request"},
      {"POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 Bad Request"},
      {"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 Bad Request"},
      {"POST /echo HTTP/1.1\r\nContent-Length: 100001\r\n\r\n", "413 Payload Too Large"},
      {"POST /echo HTTP/1.1\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n", "431 "},
  };
  for (const auto& [request, wanted] : cases) {
    const Client client(path_);
    ASSERT_TRUE(client.send(request));
    const std::string got = client.read_all();
    EXPECT_THAT(got, HasSubstr(wanted)) << request.substr(0, 60);
    EXPECT_THAT(got, HasSubstr("Connection: close")) << request.substr(0, 60);
  }
  EXPECT_EQ(server_->stats().requests, 0u);
  EXPECT_EQ(server_->stats().refused, std::size(cases));
}

TEST_F(HttpServerTest, OnlyPostIsToldWhenTheMethodIsWrong) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send("PUT /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_THAT(client.read_all(), HasSubstr("Allow: POST\r\n"));
}

TEST_F(HttpServerTest, ALargeBodyIsReadUpToTheLimit) {
  serve();
  const Client client(path_);
  const std::string body(100'000, 'x');
  ASSERT_TRUE(client.send(post("/echo", body)));
  EXPECT_THAT(client.read_until("]\n"), HasSubstr("[" + body + "]\n"));
  // In pieces of unknown number, and one too many.
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 11 && client.send("2710\r\n" + std::string(10'000, 'y') + "\r\n"); ++i) {
  }
  EXPECT_THAT(client.read_all(), HasSubstr("413 Payload Too Large"));
}

TEST_F(HttpServerTest, TooManyLargeBodiesAtOnceAreRefused) {
  serve();
  const Client first(path_);
  ASSERT_TRUE(first.send("POST /echo HTTP/1.1\r\nContent-Length: 50000\r\n\r\nbegin"));
  std::this_thread::sleep_for(50ms);
  const Client second(path_);
  ASSERT_TRUE(second.send("POST /echo HTTP/1.1\r\nContent-Length: 50000\r\n\r\n"));
  EXPECT_THAT(second.read_all(), HasSubstr("503 Service Unavailable"));
  EXPECT_EQ(first.read_all(), "") << "its time is over";
  const Client third(path_);
  ASSERT_TRUE(third.send(post("/echo", std::string(50'000, 'z'))));
  EXPECT_THAT(third.read_until("]\n"), HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, AsksForABodyThatWaitsToBeAsked) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  ASSERT_TRUE(client.send("{}"));
  EXPECT_THAT(client.read_until("]\n"), HasSubstr("[{}]"));
}

TEST_F(HttpServerTest, StalledConnectionsAreClosed) {
  serve();
  const Client silent(path_);
  const Client slow_header(path_);
  ASSERT_TRUE(slow_header.send("POST /echo HT"));
  const Client idle(path_);
  ASSERT_TRUE(idle.send(post("/echo", "x")));
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_EQ(slow_header.read_all(), "");
  EXPECT_THAT(idle.read_all(), testing::EndsWith("[x]\n"));
}

TEST_F(HttpServerTest, WhenThereAreTooManyTheOldestIdleOneGoes) {
  limits_.header_timeout = 10s;
  serve();
  const Client busy(path_);
  ASSERT_TRUE(busy.send(post("/later", "{}")));
  const HttpResponder later = later_.get_future().get();
  std::vector<std::unique_ptr<Client>> waiting;
  for (std::size_t i = 0; i < limits_.connections; ++i) {
    waiting.push_back(std::make_unique<Client>(path_));
  }
  EXPECT_EQ(waiting[0]->read_all(), "");
  ASSERT_TRUE(waiting.back()->send(post("/echo", "new")));
  EXPECT_THAT(waiting.back()->read_until("]\n"), HasSubstr("[new]"));
  later({200, "kept"});
  EXPECT_THAT(busy.read_until("kept\n"), HasSubstr("200 OK"));
  EXPECT_EQ(server_->stats().evicted, 1u);
}

TEST_F(HttpServerTest, AClientThatGoesBeforeItsAnswerCostsNothing) {
  serve();
  {
    EXPECT_TRUE(Client(path_).send(post("/later", "{}")));
  }
  const HttpResponder later = later_.get_future().get();
  later({200, std::string(1'000'000, 'x')});
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/echo", "x")));
  EXPECT_THAT(client.read_until("]\n"), HasSubstr("[x]"));
}

TEST_F(HttpServerTest, StopWaitsForWhatIsAtWork) {
  serve();
  const Client idle(path_);
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/later", "{}")));
  const HttpResponder later = later_.get_future().get();
  server_->stop(10s);
  EXPECT_EQ(idle.read_all(), "");
  later({200, "done"});
  EXPECT_THAT(client.read_all(), HasSubstr("done\n"));
  thread_.join();
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(HttpServerTest, AnAnswerAfterTheServerIsGoneGoesNowhere) {
  serve();
  const Client client(path_);
  ASSERT_TRUE(client.send(post("/later", "{}")));
  const HttpResponder later = later_.get_future().get();
  server_->stop(0ms);
  thread_.join();
  server_.reset();
  later({200, "nobody"});
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(HttpServerTest, OneServerForASocket) {
  serve();
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0777u);
  const auto second = HttpServer::listen(path_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kResource);
  EXPECT_TRUE(Client(path_).is_connected());
}

TEST_F(HttpServerTest, ASocketThatADeadServerLeftIsReplaced) {
  const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  serve();
  EXPECT_TRUE(Client(path_).is_connected());
}

TEST_F(HttpServerTest, AFileThatIsNoSocketIsLeftAlone) {
  std::filesystem::create_directory(path_);
  const auto server = HttpServer::listen(path_, {});
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().text, HasSubstr("is no socket"));
  EXPECT_FALSE(HttpServer::listen("relative.sock", {}));
  EXPECT_FALSE(HttpServer::listen("/" + std::string(200, 'x'), {}));
}

}  // namespace
}  // namespace cicd
