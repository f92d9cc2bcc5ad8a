// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_upstream.h"

#include <sys/epoll.h>
#include <sys/random.h>

#include <cerrno>

namespace cicd {

void RandomBytes::refill() {
  std::size_t have = 0;
  while (have < bytes_.size()) {
    const ssize_t got = ::getrandom(bytes_.data() + have, bytes_.size() - have, 0);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  next_ = 0;
}

bool Upstream::open_socket(Socket& socket, std::size_t number, std::uint64_t now_ns) const {
  UniqueFd fd(::socket(address_.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), address_.get(), address_.size) != 0) return false;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_ + number}};
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd.get(), &event) != 0) return false;
  const int bytes = 1 << 20;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  socket.fd = std::move(fd);
  socket.uses = 0;
  socket.opened_ns = now_ns;
  return true;
}

// One that is used up is opened again, on another port, unless an answer may still come to it.
bool Upstream::choose_socket(RandomBytes& random, std::uint64_t now_ns) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    current_ = random.u8() % kSockets;
    Socket& socket = sockets_[current_];
    const bool is_fresh =
        socket.fd && socket.uses < kUses && now_ns - socket.opened_ns < kSocketLifeNs;
    if (is_fresh) return true;
    if (socket.waiting == 0 && open_socket(socket, current_, now_ns)) return true;
  }
  return static_cast<bool>(sockets_[current_].fd);
}

std::optional<Upstream::Place> Upstream::begin(RandomBytes& random, std::uint64_t now_ns) {
  if (queued_ == kBatch) flush();
  if (!has_current_) has_current_ = choose_socket(random, now_ns);
  if (!has_current_) return std::nullopt;
  return Place{static_cast<std::uint8_t>(current_), buffers_->asks[queued_]};
}

void Upstream::commit(std::size_t bytes) {
  buffers_->sizes[queued_++] = static_cast<std::uint16_t>(bytes);
  ++sockets_[current_].uses;
  ++sockets_[current_].waiting;
}

// A datagram that cannot be sent is one that was lost: its question is asked again. But an error of
// an earlier one that is told here must not cost this one.
void Upstream::flush() {
  has_current_ = false;
  if (queued_ == 0) return;
  std::array<mmsghdr, kBatch> messages;  // not cleared: that would take longer than a question
  std::array<iovec, kBatch> parts;
  for (std::size_t i = 0; i < queued_; ++i) {
    messages[i] = {};
    parts[i] = {buffers_->asks[i].data(), buffers_->sizes[i]};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::size_t sent = 0;
  for (int failures = 0; sent < queued_ && failures < 2;) {
    const int count = ::sendmmsg(sockets_[current_].fd.get(), &messages[sent],
                                 static_cast<unsigned>(queued_ - sent), MSG_DONTWAIT);
    if (count < 0) {
      ++failures;
    } else {
      sent += static_cast<std::size_t>(count);
    }
  }
  queued_ = 0;
}

bool Upstream::receive(std::uint8_t socket, FunctionRef<void(std::span<std::uint8_t>)> on_message) {
  if (socket >= kSockets || !sockets_[socket].fd) return true;
  std::array<mmsghdr, kAnswersAtOnce> messages{};
  std::array<iovec, kAnswersAtOnce> parts{};
  for (std::size_t i = 0; i < kAnswersAtOnce; ++i) {
    parts[i] = {buffers_->answers[i].data(), kAnswerBytes};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count =
      ::recvmmsg(sockets_[socket].fd.get(), messages.data(), kAnswersAtOnce, MSG_DONTWAIT, nullptr);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if ((messages[at].msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
    on_message(std::span(buffers_->answers[at]).first(messages[at].msg_len));
  }
  return true;
}

}  // namespace cicd
