// SPDX-License-Identifier: Apache-2.0
// Connection: from dockerd to the client.
#include <limits>

#include "docker/connection.h"

namespace cicd {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
constexpr std::uint64_t kSpliceBytes = std::uint64_t{256} << 10;
// An answer to create: an id and warnings.
constexpr std::size_t kMostAnswerBytes = std::size_t{256} << 10;
constexpr unsigned kContinue = 100;
constexpr unsigned kSwitching = 101;
constexpr unsigned kCreated = 201;
constexpr unsigned kFirstFinal = 200;

}  // namespace

bool Connection::step_response() {
  switch (answering_) {
    case Answering::kIdle:
      // Nobody asked; only its end is expected here.
      if (asking_ != Asking::kHead) return false;
      return responses_.unread().empty() ? responses_.fill(kBufferBytes) : go_raw();
    case Answering::kHead:
      return read_response();
    case Answering::kBody:
      return pass_response_body();
    case Answering::kCollect:
      return collect_answer();
    case Answering::kRaw:
      return pass_raw(responses_);
    case Answering::kHold:
    case Answering::kDone:
      break;
  }
  return false;
}

bool Connection::read_response() {
  const std::string_view unread = responses_.unread();
  const std::size_t head_bytes =
      unread.size() > searched_responses_ ? find_head(unread, searched_responses_) : 0;
  if (head_bytes == 0) {
    if (upstream_.is_at_end || unread.size() > kMaxHeadBytes) {
      return !unread.empty() && go_raw();
    }
    return responses_.fill(kMaxHeadBytes + 1);
  }
  searched_responses_ = 0;
  const auto head = parse_response_head(unread.substr(0, head_bytes), exchange_.is_head);
  if (!head) {
    shared_.stager.log().warn("answer_not_read", {{"reason", head.error().text}});
    return go_raw();
  }
  if (head->status == kSwitching || head->framing == Framing::kToEnd) return go_raw();
  if (head->status < kFirstFinal) {
    exchange_.saw_continue = exchange_.saw_continue || head->status == kContinue;
    responses_.clear_to_go(head_bytes);
    return true;
  }
  // The client may leave its body away now or send it; Go's server closes too.
  if (exchange_.expects_continue && !exchange_.saw_continue && asking_ == Asking::kBody) {
    asking_ = Asking::kSent;
    closes_when_answered_ = true;
  }
  exchange_.answer_framer = BodyFramer(head->framing, head->length);
  if (exchange_.request.act == DockerAct::kCreate && head->status == kCreated) {
    exchange_.answer_bytes = head_bytes;
    answering_ = Answering::kCollect;
    return true;
  }
  responses_.clear_to_go(head_bytes);
  answering_ = Answering::kBody;
  return true;
}

bool Connection::pass_response_body() {
  BodyFramer& framer = exchange_.answer_framer;
  const bool is_build = exchange_.request.act == DockerAct::kBuild;
  if (framer.is_done()) {
    answering_ = Answering::kDone;
    end_exchange();
    return true;
  }
  if (responses_.unread().empty()) {
    if (framer.plain_bytes() >= kSpliceBytes && responses_.is_busy() && !is_build) {
      const std::uint64_t moved = responses_.move(framer.plain_bytes());
      framer.skip(moved);
      if (moved > 0) return true;
    }
    if (!responses_.is_flushed() || !responses_.fill(kBufferBytes)) return false;
  }
  std::string content;
  const auto taken = framer.take(responses_.unread(), is_build ? &content : nullptr);
  if (!taken) {
    shared_.stager.log().warn("answer_not_read", {{"reason", taken.error().text}});
    return go_raw();
  }
  for (const std::string& head : exchange_.build_output.take(content)) {
    shared_.stager.build_step(head, peer_pid_);
  }
  responses_.clear_to_go(*taken);
  return *taken > 0;
}

bool Connection::collect_answer() {
  BodyFramer& framer = exchange_.answer_framer;
  const std::string_view unread = responses_.unread().substr(exchange_.answer_bytes);
  const auto taken = framer.take(unread, &exchange_.answer);
  const bool is_too_large = exchange_.answer_bytes > kMostAnswerBytes;
  if (!taken || is_too_large) {
    shared_.stager.log().error("create_not_read",
                               {{"reason", taken ? "the answer is too large" : taken.error().text},
                                {"hint", "the container is NOT watched"}});
    return go_raw();
  }
  exchange_.answer_bytes += *taken;
  if (framer.is_done()) return create_answered();
  // An answer that is cut is for the client to judge.
  if (upstream_.is_at_end && *taken == 0) return go_raw();
  return responses_.fill(kMaxHeadBytes + kMostAnswerBytes) || *taken > 0;
}

bool Connection::create_answered() {
  const auto id = read_container_id(exchange_.answer);
  answering_ = Answering::kHold;
  if (!id) {
    shared_.stager.log().error("create_not_read",
                               {{"reason", "the answer holds no id of a container"},
                                {"hint", "the container is NOT watched"}});
    create_staged(true);
    return true;
  }
  shared_.stager.created(*id, exchange_.request.name, exchange_.body, peer_pid_,
                         [self = shared_from_this()](bool goes_on) {
                           if (self->is_closed_) return;
                           self->create_staged(goes_on);
                           self->advance();
                         });
  forget_body();
  return answering_ != Answering::kHold;
}

void Connection::create_staged(bool goes_on) {
  if (goes_on) {
    responses_.clear_to_go(exchange_.answer_bytes);
  } else {
    responses_.drop(exchange_.answer_bytes);
    answer(503, "Service Unavailable",
           "this container cannot be watched, because the agent does not answer, and was removed; "
           "start cicd-sensor-agent");
  }
  answering_ = Answering::kDone;
  end_exchange();
}

bool Connection::end_exchange() {
  if (answering_ != Answering::kDone || asking_ != Asking::kSent) return false;
  if (closes_when_answered_) closes_after_ = true;
  forget_body();
  end_build();
  asking_ = Asking::kHead;
  answering_ = Answering::kIdle;
  searched_requests_ = 0;
  searched_responses_ = 0;
  return true;
}

bool Connection::go_raw() {
  forget_body();
  asking_ = Asking::kRaw;
  answering_ = Answering::kRaw;
  return true;
}

bool Connection::pass_raw(Lane& lane) {
  if (const std::size_t size = lane.unread().size(); size > 0) {
    lane.clear_to_go(size);
    return true;
  }
  if (lane.is_busy() && lane.move(std::numeric_limits<std::uint64_t>::max()) > 0) return true;
  return lane.is_flushed() && lane.fill(kBufferBytes);
}

void Connection::forget_body() {
  shared_.kept_bytes -= exchange_.kept_bytes;
  exchange_.kept_bytes = 0;
  exchange_.keeps_body = false;
  std::string().swap(exchange_.body);
}

}  // namespace cicd
