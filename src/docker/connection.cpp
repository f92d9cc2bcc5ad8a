// SPDX-License-Identifier: Apache-2.0
#include "docker/connection.h"

#include "docker/unix_connect.h"

namespace cicd {

namespace {

constexpr std::chrono::milliseconds kConnectAgain{5};
// Steps until the others have their turn: some MiB of a fast stream.
constexpr int kStepsATurn = 64;

}  // namespace

Connection::Connection(ConnectionShared& shared, UniqueFd client, int peer_pid)
    : shared_(shared), peer_pid_(peer_pid) {
  client_.fd = std::move(client);
}

Connection::~Connection() { forget_body(); }

void Connection::begin() {
  if (!shared_.loop.add(client_.fd.get(), shared_from_this())) return;
  connect(EventLoop::Clock::now() + shared_.options.upstream_patience);
  advance();
}

void Connection::connect(EventLoop::Clock::time_point end) {
  if (is_closed_) return;
  Result<UniqueFd> fd = connect_unix(shared_.options.upstream_socket);
  if (!fd && fd.error().code == ErrorCode::kTimeout && EventLoop::Clock::now() < end) {
    shared_.loop.call_at(EventLoop::Clock::now() + kConnectAgain, [self = shared_from_this(), end] {
      self->connect(end);
      self->advance();
    });
    return;
  }
  if (fd && shared_.loop.add(fd->get(), shared_from_this())) {
    upstream_.fd = std::move(*fd);
    return;
  }
  upstream_problem_ = fd ? "no room for another connection" : fd.error().text;
  shared_.stager.log().error(
      "dockerd_down", {{"reason", upstream_problem_},
                       {"hint", "is docker.socket on --upstream-socket, and is it running?"}});
}

void Connection::on_event(int fd, std::uint32_t events) {
  if (fd == client_.fd.get()) client_.on_events(events);
  if (fd == upstream_.fd.get()) upstream_.on_events(events);
  advance();
}

void Connection::advance() {
  // Whoever the agent's answer lets go on may be called from below.
  if (is_advancing_ || is_closed_) return;
  is_advancing_ = true;
  int steps = 0;
  while (step() && !is_over() && ++steps < kStepsATurn) {
  }
  is_advancing_ = false;
  if (is_over()) return close();
  if (steps >= kStepsATurn) shared_.loop.call_again(client_.fd.get());
}

bool Connection::step() {
  bool has_moved = false;
  // Before a connection to dockerd there is, nothing can be passed on.
  const bool has_upstream = static_cast<bool>(upstream_.fd);
  if (has_upstream || !upstream_problem_.empty()) has_moved = step_request();
  if (has_upstream && !closes_after_) has_moved = step_response() || has_moved;
  if (has_upstream) has_moved = requests_.flush() || has_moved;
  has_moved = responses_.flush() || has_moved;
  if (!has_upstream) return has_moved;
  if (asking_ != Asking::kHold && asking_ != Asking::kDiscard) requests_.pass_on_end();
  if (answering_ == Answering::kRaw) responses_.pass_on_end();
  return has_moved;
}

bool Connection::is_over() const {
  if (is_closed_) return true;
  // Nobody reads what dockerd says, so it shall hear that.
  const bool client_ended = client_.is_at_end && requests_.unread().empty();
  if (client_.is_deaf) return true;
  if (client_.is_hung_up && client_ended && (requests_.is_flushed() || upstream_.is_deaf))
    return true;
  if (!responses_.is_flushed()) return false;
  if (closes_after_) return true;
  if (client_ended && asking_ == Asking::kHead && answering_ == Answering::kIdle) return true;
  if (!upstream_.is_at_end) return false;
  // dockerd ends a stream in one direction, or altogether.
  if (answering_ == Answering::kHold || !responses_.unread().empty()) return false;
  return upstream_.is_hung_up || client_.is_at_end || answering_ != Answering::kRaw;
}

void Connection::close() {
  is_closed_ = true;
  end_build();
  const auto self = shared_from_this();
  shared_.loop.remove(client_.fd.get());
  shared_.loop.remove(upstream_.fd.get());
  client_.fd.reset();
  upstream_.fd.reset();
}

}  // namespace cicd
