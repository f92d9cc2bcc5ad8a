// SPDX-License-Identifier: Apache-2.0
#include "docker/http_call.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "docker/body_framer.h"
#include "docker/unix_connect.h"

namespace cicd {

namespace {

constexpr std::size_t kMostAnswerBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kConnectAgain{5};

class Call final : public EventHandler, public std::enable_shared_from_this<Call> {
 public:
  Call(EventLoop& loop, HttpCall call, HttpCallDone done)
      : loop_(loop), call_(std::move(call)), done_(std::move(done)) {}

  void begin() {
    end_ = EventLoop::Clock::now() + call_.timeout;
    timer_ = loop_.call_at(end_, [self = shared_from_this()] {
      self->finish(
          fail(ErrorCode::kTimeout, "no answer from " + self->call_.socket_path + " within " +
                                        std::to_string(self->call_.timeout.count()) + " ms"));
    });
    connect();
  }

  void on_event(int, std::uint32_t) override {
    if (!send() || !receive()) return;
    if (is_ended_) finish(fail(ErrorCode::kIo, call_.socket_path + " closed without an answer"));
  }

 private:
  void connect() {
    if (!done_) return;
    Result<UniqueFd> fd = connect_unix(call_.socket_path);
    if (!fd && fd.error().code == ErrorCode::kTimeout) {
      loop_.call_at(EventLoop::Clock::now() + kConnectAgain,
                    [self = shared_from_this()] { self->connect(); });
      return;
    }
    if (!fd) {
      finish(std::unexpected(fd.error()));
      return;
    }
    fd_ = std::move(*fd);
    if (!loop_.add(fd_.get(), shared_from_this())) {
      finish(fail(ErrorCode::kResource, "no room to wait for " + call_.socket_path));
      return;
    }
    on_event(fd_.get(), 0);
  }

  // False when the call is over.
  bool send() {
    while (sent_ < call_.request.size()) {
      const ssize_t size = ::send(fd_.get(), call_.request.data() + sent_,
                                  call_.request.size() - sent_, MSG_NOSIGNAL);
      if (size >= 0) {
        sent_ += static_cast<std::size_t>(size);
        continue;
      }
      if (errno == EINTR) continue;
      // A server may answer, and close, before it has read everything.
      if (errno == EPIPE || errno == ECONNRESET) sent_ = call_.request.size();
      break;
    }
    return true;
  }

  bool receive() {
    char buffer[8192];
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return true;
      if (size <= 0) {
        is_ended_ = true;
        return !read_answer();
      }
      answer_.append(buffer, static_cast<std::size_t>(size));
      if (read_answer()) return false;
      if (answer_.size() > kMostAnswerBytes) {
        finish(fail(ErrorCode::kIo, "the answer of " + call_.socket_path + " is too large"));
        return false;
      }
    }
  }

  // True when the answer is whole, or none.
  bool read_answer() {
    std::size_t searched = 0;
    const std::size_t head = find_head(answer_, searched);
    if (head == 0) return false;
    HttpCallAnswer answer;
    const auto read = parse_response_head(std::string_view(answer_).substr(0, head), false);
    if (!read) return finish(std::unexpected(read.error()));
    BodyFramer framer(read->framing, read->length);
    const auto taken = framer.take(std::string_view(answer_).substr(head), &answer.body);
    if (!taken) return finish(std::unexpected(taken.error()));
    const bool ends_here = read->framing == Framing::kToEnd && is_ended_;
    if (!framer.is_done() && !ends_here) return false;
    answer.status = read->status;
    return finish(std::move(answer));
  }

  bool finish(Result<HttpCallAnswer> answer) {
    if (!done_) return true;
    const auto self = shared_from_this();
    loop_.cancel(timer_);
    loop_.remove(fd_.get());
    fd_.reset();
    std::exchange(done_, nullptr)(std::move(answer));
    return true;
  }

  EventLoop& loop_;
  HttpCall call_;
  HttpCallDone done_;
  UniqueFd fd_;
  EventLoop::Clock::time_point end_;
  EventLoop::TimerId timer_;
  std::size_t sent_ = 0;
  std::string answer_;
  bool is_ended_ = false;
};

}  // namespace

std::string http_request(std::string_view method, const std::string& target,
                         const std::string& body) {
  std::string text(method);
  text += " " + target + " HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n";
  if (!body.empty()) {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return text + "\r\n" + body;
}

std::chrono::milliseconds agent_patience(bool is_gitlab) {
  constexpr std::chrono::milliseconds kGithub{1'000};
  constexpr std::chrono::milliseconds kGitlab{5'000};
  return is_gitlab ? kGitlab : kGithub;
}

void start_call(EventLoop& loop, HttpCall call, HttpCallDone done) {
  std::make_shared<Call>(loop, std::move(call), std::move(done))->begin();
}

}  // namespace cicd
