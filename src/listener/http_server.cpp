// SPDX-License-Identifier: Apache-2.0
#include "listener/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <list>
#include <optional>
#include <tuple>
#include <utility>

#include "base/json_writer.h"
#include "listener/http_socket.h"

namespace cicd {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Protocol = asio::local::stream_protocol;
using Stream = beast::basic_stream<Protocol>;
using BoostError = boost::system::error_code;

constexpr std::size_t kReadAheadBytes = 4096;
constexpr int kPeerPidFd = 77;  // SO_PEERPIDFD, which the C library does not name yet
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::chrono::milliseconds kAcceptPause{100};

Result<HttpPeer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno(errno, "read the peer's credentials");
  }
  HttpPeer peer{credentials.pid, credentials.uid, credentials.gid, nullptr};
  int pidfd = -1;
  size = sizeof(pidfd);
  if (::getsockopt(socket, SOL_SOCKET, kPeerPidFd, &pidfd, &size) == 0 && pidfd >= 0) {
    peer.pidfd = std::make_shared<const UniqueFd>(pidfd);
  }
  return peer;
}

}  // namespace

// Shared by a connection and whoever answers its request. The connection may be gone first, and the
// server with it; the io_context is kept alive here.
struct HttpResponder::State {
  std::shared_ptr<asio::io_context> context;
  std::function<void(HttpResponse)> deliver;  // on the server's thread
  std::atomic<bool> is_answered = false;

  void answer(HttpResponse response) {
    if (is_answered.exchange(true)) return;
    asio::post(*context, [deliver = std::move(deliver), response = std::move(response)]() mutable {
      deliver(std::move(response));
    });
  }
  ~State() { answer(http_error(500, "the request was given up")); }
};

void HttpResponder::operator()(HttpResponse response) const { state_->answer(std::move(response)); }

HttpResponse http_error(unsigned status, const std::string& message) {
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  json.member("error", message);
  json.end_object();
  return {status, std::move(body), "application/json"};
}

namespace {

// What of the server a connection needs; lives as long as any of them.
struct Shared {
  std::vector<HttpRoute> routes;
  HttpLimits limits;
  std::shared_ptr<asio::io_context> context = std::make_shared<asio::io_context>(1);
  std::size_t large_bodies = 0;
  bool is_stopping = false;
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<std::uint64_t> evicted = 0;
};

// One connection. Every step ends in the next one or in close(); the callbacks hold the object.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Shared> shared, Protocol::socket socket, HttpPeer peer)
      : shared_(std::move(shared)), stream_(std::move(socket)), peer_(std::move(peer)) {}
  ~Connection() { give_up_large_body(); }

  std::function<void()> on_close;

  void start() { read_header(); }
  // In the middle of a request that a handler has, or of its answer.
  bool is_busy() const { return is_busy_; }
  bool is_open() const { return is_open_; }
  void close() {
    if (!is_open_) return;
    is_open_ = false;
    BoostError ignored;
    std::ignore = stream_.socket().shutdown(Protocol::socket::shutdown_both, ignored);
    stream_.close();
    if (on_close) on_close();
    itself_.reset();  // whoever calls holds one, too
  }

 private:
  using Parser = http::request_parser<http::string_body>;

  void read_header() {
    parser_.emplace();
    parser_->header_limit(shared_->limits.header_bytes);
    parser_->body_limit(shared_->limits.body_bytes);
    stream_.expires_after(shared_->limits.header_timeout);
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](BoostError error, std::size_t) { self->on_header(error); });
  }

  void on_header(BoostError error) {
    if (!is_open_) return;
    if (error == http::error::header_limit) return refuse(431, "the header is too long");
    if (error == http::error::body_limit) return refuse_size();
    if (error == http::error::end_of_stream || error == beast::error::timeout) return close();
    if (error.category() == http::make_error_code(http::error::bad_target).category()) {
      return refuse(400, "this is no HTTP request: " + error.message());
    }
    if (error) return close();
    const auto& message = parser_->get();
    const std::string_view target(message.target().data(), message.target().size());
    const auto route = std::ranges::find(shared_->routes, target, &HttpRoute::path);
    if (route == shared_->routes.end()) {
      return answer({404, "404 page not found\n", "text/plain; charset=utf-8"}, true);
    }
    if (message.method() != http::verb::post) {
      return refuse(405, "only POST is allowed here");
    }
    route_ = &*route;
    read_body();
  }

  // The header is fine; is its body?
  void read_body() {
    const auto length = parser_->content_length();
    if ((!length && parser_->chunked()) || length.value_or(0) > shared_->limits.small_body_bytes) {
      if (shared_->large_bodies >= shared_->limits.large_bodies) {
        return refuse(503, "too many large requests at once; try again");
      }
      ++shared_->large_bodies;
      has_large_body_ = true;
    }
    stream_.expires_after(shared_->limits.read_timeout);
    const auto expect = parser_->get()[http::field::expect];
    if (!beast::iequals(expect, "100-continue") || parser_->is_done()) return read_rest();
    asio::async_write(stream_, asio::buffer(kContinue),
                      [self = shared_from_this()](BoostError error, std::size_t) {
                        if (!self->is_open_) return;
                        error ? self->close() : self->read_rest();
                      });
  }

  void read_rest() {
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](BoostError error, std::size_t) { self->on_body(error); });
  }

  void on_body(BoostError error) {
    if (!is_open_) return;
    if (error == http::error::body_limit) return refuse_size();
    if (error.category() == http::make_error_code(http::error::bad_target).category() &&
        error != http::error::partial_message) {
      return refuse(400, "the body is no HTTP: " + error.message());
    }
    if (error) return close();
    stream_.expires_never();
    is_busy_ = true;
    keep_alive_ = parser_->get().keep_alive();
    ++shared_->requests;
    auto state = std::make_shared<HttpResponder::State>();
    state->context = shared_->context;
    state->deliver = [self = weak_from_this()](HttpResponse response) {
      const auto connection = self.lock();
      if (connection && connection->is_open_) connection->answer(std::move(response), false);
    };
    // Kept until the answer is there: nobody else holds a connection that reads nothing.
    itself_ = shared_from_this();
    route_->handler({route_->path, std::move(parser_->get().body()), peer_},
                    HttpResponder(std::move(state)));
  }

  void refuse_size() {
    refuse(413, "the body is larger than " + std::to_string(shared_->limits.body_bytes) + " bytes");
  }
  void refuse(unsigned status, const std::string& message) {
    answer(http_error(status, message), true);
  }

  // `is_refusal`: what else the client sends is not looked at; the connection ends with the answer.
  void answer(HttpResponse response, bool is_refusal) {
    if (is_refusal) ++shared_->refused;
    is_refusal_ = is_refusal;
    give_up_large_body();
    response_.emplace(static_cast<http::status>(response.status), 11);
    response_->set(http::field::content_type, response.content_type);
    if (response.status == 405) response_->set(http::field::allow, "POST");
    response_->keep_alive(!is_refusal && keep_alive_ && !shared_->is_stopping);
    response_->body() = std::move(response.body);
    if (response.content_type == "application/json") response_->body().append(1, '\n');
    response_->prepare_payload();
    is_busy_ = true;
    stream_.expires_after(shared_->limits.write_timeout);
    http::async_write(
        stream_, *response_,
        [self = shared_from_this()](BoostError error, std::size_t) { self->on_written(error); });
    itself_.reset();
  }

  void on_written(BoostError error) {
    if (!is_open_) return;
    is_busy_ = false;
    const bool goes_on = !error && response_->keep_alive() && !shared_->is_stopping;
    response_.reset();
    parser_.reset();
    if (!goes_on) return is_refusal_ && !error ? linger_and_close() : close();
    if (buffer_.size() > 0) return read_header();
    stream_.expires_after(shared_->limits.idle_timeout);
    stream_.async_read_some(buffer_.prepare(kReadAheadBytes),
                            [self = shared_from_this()](BoostError failure, std::size_t size) {
                              if (!self->is_open_) return;
                              if (failure) return self->close();
                              self->buffer_.commit(size);
                              self->read_header();
                            });
  }

  // A peer that still sends would otherwise lose the answer with a reset. What it sends is thrown
  // away until it ends or the time of one header is over.
  void linger_and_close() {
    BoostError ignored;
    std::ignore = stream_.socket().shutdown(Protocol::socket::shutdown_send, ignored);
    buffer_.clear();
    stream_.expires_after(shared_->limits.header_timeout);
    discard();
  }
  void discard() {
    stream_.async_read_some(buffer_.prepare(kReadAheadBytes),
                            [self = shared_from_this()](BoostError error, std::size_t size) {
                              if (!self->is_open_) return;
                              self->discarded_ += size;
                              const bool is_enough =
                                  self->discarded_ > self->shared_->limits.body_bytes;
                              error || is_enough ? self->close() : self->discard();
                            });
  }

  void give_up_large_body() {
    if (has_large_body_) --shared_->large_bodies;
    has_large_body_ = false;
  }

  std::shared_ptr<Shared> shared_;
  Stream stream_;
  HttpPeer peer_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::optional<http::response<http::string_body>> response_;
  const HttpRoute* route_ = nullptr;
  std::shared_ptr<Connection> itself_;
  std::uint64_t discarded_ = 0;
  bool has_large_body_ = false;
  bool keep_alive_ = false;
  bool is_refusal_ = false;
  bool is_busy_ = false;
  bool is_open_ = true;
};

class AsioServer : public HttpServer {
 public:
  AsioServer(ListenSocket socket, std::vector<HttpRoute> routes, const HttpLimits& limits)
      : shared_(std::make_shared<Shared>()),
        socket_(std::move(socket)),
        acceptor_(*shared_->context, Protocol(), socket_.take().release()),
        timer_(*shared_->context) {
    shared_->routes = std::move(routes);
    shared_->limits = limits;
  }

  ~AsioServer() override {
    BoostError ignored;
    std::ignore = acceptor_.close(ignored);
    timer_.cancel();
    for (const auto& connection : connections_) {
      connection->on_close = nullptr;
      connection->close();
    }
    connections_.clear();
    // What was under way is told so, and lets its connection go.
    shared_->context->restart();
    shared_->context->poll();
  }

  void run() override {
    accept();
    shared_->context->run();
  }

  void stop(std::chrono::milliseconds patience) override {
    asio::post(*shared_->context, [this, patience] { begin_stop(patience); });
  }

  HttpStats stats() const override {
    return {shared_->accepted, shared_->requests, shared_->refused, shared_->evicted};
  }

 private:
  using Connections = std::list<std::shared_ptr<Connection>>;  // oldest first

  void accept() {
    acceptor_.async_accept([this](BoostError error, Protocol::socket socket) {
      if (shared_->is_stopping) return;
      if (!error) {
        add(std::move(socket));
        return accept();
      }
      // Out of descriptors, for instance: the peer stays in the backlog and is looked at later.
      timer_.expires_after(kAcceptPause);
      timer_.async_wait([this](BoostError aborted) {
        if (!aborted && !shared_->is_stopping) accept();
      });
    });
  }

  void add(Protocol::socket socket) {
    ++shared_->accepted;
    auto peer = peer_of(socket.native_handle());
    if (!peer) return;
    if (connections_.size() >= shared_->limits.connections && !make_room()) return;
    const auto connection =
        std::make_shared<Connection>(shared_, std::move(socket), std::move(*peer));
    const auto place = connections_.insert(connections_.end(), connection);
    connection->on_close = [this, place] { forget(place); };
    connection->start();
  }

  void forget(Connections::iterator place) {
    connections_.erase(place);
    if (shared_->is_stopping && connections_.empty()) shared_->context->stop();
  }

  // The one that has waited longest without being at work goes.
  bool make_room() {
    const auto idle = std::ranges::find_if(
        connections_, [](const auto& connection) { return !connection->is_busy(); });
    ++shared_->evicted;
    if (idle == connections_.end()) return false;
    const auto keep = std::move(*idle);  // its place in the list goes first
    keep->close();
    return true;
  }

  void begin_stop(std::chrono::milliseconds patience) {
    if (shared_->is_stopping) return;
    shared_->is_stopping = true;
    acceptor_.close();
    const Connections all = connections_;
    for (const auto& connection : all) {
      if (!connection->is_busy()) connection->close();
    }
    if (connections_.empty()) return shared_->context->stop();
    timer_.expires_after(patience);
    timer_.async_wait([this](BoostError) { shared_->context->stop(); });
  }

  std::shared_ptr<Shared> shared_;
  ListenSocket socket_;
  Protocol::acceptor acceptor_;
  asio::steady_timer timer_;
  Connections connections_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const std::string& path,
                                                       std::vector<HttpRoute> routes,
                                                       const HttpLimits& limits) {
  constexpr unsigned kMode = 0777;
  CICD_ASSIGN(ListenSocket socket, ListenSocket::open(path, kMode));
  return std::make_unique<AsioServer>(std::move(socket), std::move(routes), limits);
}

}  // namespace cicd
