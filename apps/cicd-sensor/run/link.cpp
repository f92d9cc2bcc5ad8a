// SPDX-License-Identifier: Apache-2.0
#include "run/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cicd {

namespace {

struct WireMessage {
  MessageType type;
  std::uint32_t text_bytes;
  std::int64_t number;
  char text[2048];  // text, then hint, both ended by a NUL
};

std::string take_text(const WireMessage& wire, std::size_t& at) {
  const std::size_t end = std::min<std::size_t>(wire.text_bytes, sizeof(wire.text));
  std::string text;
  while (at < end && wire.text[at] != '\0') text += wire.text[at++];
  ++at;
  return text;
}

void put_text(WireMessage& wire, const std::string& text) {
  const std::size_t room = sizeof(wire.text) / 2 - 1;
  const std::size_t bytes = std::min(text.size(), room);
  std::memcpy(wire.text + wire.text_bytes, text.data(), bytes);
  wire.text[wire.text_bytes + bytes] = '\0';
  wire.text_bytes += static_cast<std::uint32_t>(bytes + 1);
}

union FdControl {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int))];
};

}  // namespace

Result<std::pair<Link, Link>> Link::make_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail_errno(errno, "socketpair");
  }
  std::pair<Link, Link> both;
  both.first.fd_.reset(fds[0]);
  both.second.fd_.reset(fds[1]);
  return both;
}

bool Link::send(const Message& message) const {
  WireMessage wire{};
  wire.type = message.type;
  wire.number = message.number;
  put_text(wire, message.text);
  put_text(wire, message.hint);
  iovec part{&wire, sizeof(wire)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  FdControl control{};
  if (message.descriptor) {
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof(control.bytes);
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = message.descriptor.get();
    std::memcpy(CMSG_DATA(item), &fd, sizeof(fd));
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof(wire));
}

std::optional<Message> Link::receive(int wait_ms) {
  if (is_closed_ || !fd_) return std::nullopt;
  pollfd ready{fd_.get(), POLLIN, 0};
  if (::poll(&ready, 1, wait_ms) <= 0) return std::nullopt;
  WireMessage wire{};
  iovec part{&wire, sizeof(wire)};
  FdControl control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof(control.bytes);
  const ssize_t got = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (got != static_cast<ssize_t>(sizeof(wire))) {
    is_closed_ = true;
    return std::nullopt;
  }
  Message message;
  message.type = wire.type;
  message.number = wire.number;
  std::size_t at = 0;
  message.text = take_text(wire, at);
  message.hint = take_text(wire, at);
  const cmsghdr* item = CMSG_FIRSTHDR(&header);
  if (item != nullptr && item->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(item), sizeof(fd));
    message.descriptor.reset(fd);
  }
  return message;
}

}  // namespace cicd
