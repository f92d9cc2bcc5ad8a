// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_streams.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace cicd {

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kMaxUnreadBytes = 2 + 65'535 + kReadBytes;

}  // namespace

Stream* Streams::add(UniqueFd fd, std::uint64_t now_ns) {
  if (free_.empty()) {
    streams_.emplace_back().index = static_cast<std::uint32_t>(streams_.size() - 1);
    free_.push_back(streams_.back().index);
  }
  Stream& stream = streams_[free_.back()];
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_ + stream.index}};
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd.get(), &event) != 0) return nullptr;
  free_.pop_back();
  ++size_;
  stream.fd = std::move(fd);
  stream.number = ++last_number_;
  stream.in.clear();
  stream.out.clear();
  stream.sent = 0;
  stream.open = 0;
  stream.last_ns = now_ns;
  stream.has_ended = false;
  stream.events = EPOLLIN;
  return &stream;
}

void Streams::close(Stream& stream) {
  stream.fd.reset();
  stream.in = {};
  stream.out = {};
  free_.push_back(stream.index);
  --size_;
}

bool Streams::read(Stream& stream, std::uint64_t now_ns) {
  while (!stream.has_ended && !stream.is_full() && stream.in.size() < kMaxUnreadBytes) {
    const std::size_t before = stream.in.size();
    stream.in.resize(before + kReadBytes);
    const ssize_t got =
        ::recv(stream.fd.get(), stream.in.data() + before, kReadBytes, MSG_DONTWAIT);
    stream.in.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) stream.has_ended = true;
    stream.last_ns = now_ns;
    if (static_cast<std::size_t>(got) < kReadBytes) break;
  }
  return true;
}

void Streams::take_messages(Stream& stream,
                            FunctionRef<void(std::span<const std::uint8_t>)> on_message) {
  std::size_t at = 0;
  const std::span<const std::uint8_t> in(stream.in);
  while (!stream.is_full() && in.size() - at >= 2) {
    const std::size_t size = static_cast<std::size_t>(in[at] << 8 | in[at + 1]);
    if (in.size() - at - 2 < size) break;
    on_message(in.subspan(at + 2, size));
    at += 2 + size;
  }
  stream.in.erase(stream.in.begin(), stream.in.begin() + static_cast<std::ptrdiff_t>(at));
}

void Streams::append(Stream& stream, std::span<const std::uint8_t> message) {
  stream.out.push_back(static_cast<std::uint8_t>(message.size() >> 8));
  stream.out.push_back(static_cast<std::uint8_t>(message.size() & 0xff));
  stream.out.insert(stream.out.end(), message.begin(), message.end());
}

bool Streams::flush(Stream& stream, std::uint64_t now_ns) {
  while (stream.has_unsent()) {
    const ssize_t sent = ::send(stream.fd.get(), stream.out.data() + stream.sent,
                                stream.out.size() - stream.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    stream.sent += static_cast<std::size_t>(sent);
    stream.last_ns = now_ns;
  }
  stream.out.clear();
  stream.sent = 0;
  return true;
}

void Streams::update_events(Stream& stream) const {
  const std::uint32_t wanted =
      (stream.has_ended || stream.is_full() ? 0u : EPOLLIN) | (stream.has_unsent() ? EPOLLOUT : 0u);
  if (wanted == stream.events) return;
  stream.events = wanted;
  epoll_event event{.events = wanted, .data = {.u64 = tag_ + stream.index}};
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, stream.fd.get(), &event);
}

}  // namespace cicd
