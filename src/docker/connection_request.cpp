// SPDX-License-Identifier: Apache-2.0
// Connection: from the client to dockerd.
#include <utility>

#include "base/json_writer.h"
#include "docker/connection.h"

namespace cicd {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
// From here on what need not be looked at is worth a pipe.
constexpr std::uint64_t kSpliceBytes = std::uint64_t{256} << 10;

std::string answer_text(unsigned status, std::string_view reason, std::string_view message,
                        bool is_head) {
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  json.member("message", message);
  json.end_object();
  body.push_back('\n');
  std::string text =
      "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason) +
      "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n";
  return is_head ? text : text + body;
}

}  // namespace

bool Connection::step_request() {
  if (closes_after_) return false;
  switch (asking_) {
    case Asking::kHead:
      return answering_ == Answering::kIdle && read_request();
    case Asking::kBody:
      return pass_request_body();
    case Asking::kDiscard:
      return discard_request_body();
    case Asking::kSent:
      return requests_.fill(kBufferBytes);
    case Asking::kRaw:
      return pass_raw(requests_);
    case Asking::kHold:
      break;
  }
  return false;
}

bool Connection::read_request() {
  // What is here already may be a whole head.
  std::string_view unread = requests_.unread();
  // Go's server skips empty lines after the body of a POST.
  if (!unread.empty() && (unread.front() == '\r' || unread.front() == '\n')) {
    requests_.drop(1);
    searched_requests_ = 0;
    return true;
  }
  if (unread.size() > searched_requests_) {
    const std::size_t head_bytes = find_head(unread, searched_requests_);
    if (head_bytes > kMaxHeadBytes || (head_bytes == 0 && unread.size() > kMaxHeadBytes)) {
      answer(431, "Request Header Fields Too Large", "the head of the request is too large");
      closes_after_ = true;
      return true;
    }
    if (head_bytes > 0) return begin_exchange(head_bytes);
  }
  if (client_.is_at_end) {
    // No request, and it will be none: dockerd says so.
    if (!unread.empty()) return go_raw();
    return false;
  }
  return requests_.fill(kMaxHeadBytes + 1);
}

bool Connection::begin_exchange(std::size_t head_bytes) {
  searched_requests_ = 0;
  const auto head = parse_request_head(requests_.unread().substr(0, head_bytes));
  if (!head) {
    fail_request(head.error());
    return true;
  }
  exchange_ = {};
  exchange_.request = read_docker_request(head->method, head->target);
  exchange_.is_head = head->method == "HEAD";
  exchange_.expects_continue = head->expects_continue;
  exchange_.head_bytes = head_bytes;
  exchange_.request_framer = BodyFramer(head->framing, head->length);
  const DockerAct act = exchange_.request.act;
  if (!upstream_problem_.empty()) {
    refuse("cicd-sensor: dockerd does not answer: " + upstream_problem_);
    closes_when_answered_ = true;
    return true;
  }
  const bool makes_containers =
      act == DockerAct::kCreate || act == DockerAct::kBuild || act == DockerAct::kBuildKit;
  if (makes_containers && !shared_.stager.may_create()) {
    refuse(
        "cicd-sensor: containers must be watched here, and the agent does not answer; start "
        "cicd-sensor-agent");
    return true;
  }
  if (act == DockerAct::kRename) shared_.stager.renamed();
  exchange_.keeps_body = act == DockerAct::kCreate && shared_.options.is_gitlab;
  if (act == DockerAct::kStart) {
    asking_ = Asking::kHold;
    shared_.stager.starts(exchange_.request.name, peer_pid_,
                          [self = shared_from_this()](bool goes_on) {
                            self->hold_until(goes_on,
                                             "cicd-sensor: this container cannot be watched, "
                                             "because the agent does not answer; start "
                                             "cicd-sensor-agent");
                          });
    return asking_ != Asking::kHold;
  }
  if (act == DockerAct::kBuildKit) {
    begin_build();
    return asking_ != Asking::kHold;
  }
  if (act == DockerAct::kBuild && exchange_.request.is_quiet) {
    shared_.stager.log().warn("build_not_watched",
                              {{"peer_pid", std::to_string(peer_pid_)},
                               {"reason", "docker build --quiet does not say what it runs"}});
  }
  forward_head();
  return true;
}

// What a request was held for is known.
void Connection::hold_until(bool goes_on, std::string_view refusal) {
  if (is_closed_) return;
  if (goes_on) {
    forward_head();
  } else {
    refuse(refusal);
  }
  advance();
}

void Connection::begin_build() {
  asking_ = Asking::kHold;
  build_ = shared_.stager.builds().begin(peer_pid_, [self = shared_from_this()](bool is_told) {
    self->hold_until(is_told || !self->shared_.stager.is_refusing(),
                     "cicd-sensor: the steps of this build cannot be watched, because the agent "
                     "does not answer; start cicd-sensor-agent");
  });
}

void Connection::end_build() {
  if (const std::uint64_t build = std::exchange(build_, 0); build != 0) {
    shared_.stager.builds().end(build);
  }
}

void Connection::forward_head() {
  requests_.clear_to_go(exchange_.head_bytes);
  answering_ = Answering::kHead;
  asking_ = exchange_.request_framer.is_done() ? Asking::kSent : Asking::kBody;
}

bool Connection::pass_request_body() {
  BodyFramer& framer = exchange_.request_framer;
  if (requests_.unread().empty()) {
    const std::uint64_t plain = exchange_.keeps_body ? 0 : framer.plain_bytes();
    if (plain >= kSpliceBytes && requests_.is_busy()) {
      const std::uint64_t moved = requests_.move(plain);
      framer.skip(moved);
      if (moved > 0) return true;
    }
    if (!requests_.is_flushed()) return false;
    if (!requests_.fill(kBufferBytes)) return false;
  }
  const std::string_view unread = requests_.unread();
  const auto taken = framer.take(unread, exchange_.keeps_body ? &exchange_.body : nullptr);
  if (!taken) {
    fail_request(taken.error());
    return true;
  }
  if (exchange_.keeps_body) keep_body(unread.substr(0, *taken));
  requests_.clear_to_go(*taken);
  if (framer.is_done()) {
    asking_ = Asking::kSent;
    end_exchange();
    return true;
  }
  return *taken > 0;
}

// Counts what has been kept, and gives it up where it is too much.
void Connection::keep_body(std::string_view bytes) {
  shared_.kept_bytes += bytes.size();
  exchange_.kept_bytes += bytes.size();
  const bool is_too_large = exchange_.body.size() > shared_.options.label_bytes;
  if (!is_too_large && shared_.kept_bytes <= shared_.options.all_label_bytes) return;
  shared_.stager.log().warn("labels_not_read",
                            {{"container_name", exchange_.request.name},
                             {"reason", is_too_large ? "the body of the create is too large"
                                                     : "too many large creates at a time"}});
  forget_body();
}

void Connection::refuse(std::string_view message) {
  refusal_ = answer_text(503, "Service Unavailable", message, exchange_.is_head);
  requests_.drop(exchange_.head_bytes);
  if (exchange_.expects_continue && !exchange_.request_framer.is_done()) {
    // Its body will not come, or will: nobody can tell.
    closes_when_answered_ = true;
    exchange_.request_framer = {};
  }
  asking_ = Asking::kDiscard;
}

bool Connection::discard_request_body() {
  BodyFramer& framer = exchange_.request_framer;
  if (!framer.is_done()) {
    if (requests_.unread().empty() && !requests_.fill(kBufferBytes)) return false;
    const auto taken = framer.take(requests_.unread());
    if (!taken) {
      fail_request(taken.error());
      return true;
    }
    requests_.drop(*taken);
    if (!framer.is_done()) {
      if (client_.is_at_end && requests_.unread().empty()) closes_after_ = true;
      return *taken > 0;
    }
  }
  responses_.insert(refusal_);
  refusal_.clear();
  asking_ = Asking::kSent;
  answering_ = Answering::kDone;
  return end_exchange();
}

void Connection::answer(unsigned status, std::string_view reason, std::string_view message) {
  responses_.insert(answer_text(status, reason, "cicd-sensor: " + std::string(message), false));
}

void Connection::fail_request(const Error& error) {
  shared_.stager.log().warn("request_refused", {{"reason", error.text}});
  // In the middle of an exchange the client may be hearing the answer already.
  if (asking_ == Asking::kHead && error.code == ErrorCode::kUnsupported) {
    answer(505, "HTTP Version Not Supported", error.text);
  } else if (asking_ == Asking::kHead) {
    answer(400, "Bad Request", error.text);
  }
  closes_after_ = true;
}

}  // namespace cicd
