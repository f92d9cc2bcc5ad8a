// SPDX-License-Identifier: Apache-2.0
// Questions from clients, and replies to them.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "egress/resolver_core.h"
#include "egress/resolver_tags.h"

namespace cicd {

namespace {

constexpr std::uint16_t kClassIn = 1;
constexpr std::uint64_t kMillisecondNs = 1'000'000;
constexpr std::uint64_t kSweepPauseNs = 250 * kMillisecondNs;
constexpr int kAcceptsAtOnce = 64;

// Both kinds of socket addresses have the port in the same place.
std::uint16_t port_of(const Origin& peer) {
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  constexpr std::size_t kAt = offsetof(sockaddr_in, sin_port);
  return static_cast<std::uint16_t>(peer.peer[kAt] << 8 | peer.peer[kAt + 1]);
}

}  // namespace

Result<> ResolverCore::listen_in(int netns_fd) {
  struct stat netns{};
  if (::fstat(netns_fd, &netns) != 0) return fail_errno(errno, "look at a network namespace");
  {
    const std::lock_guard lock(mutex_);
    for (const auto& port : ports_) {
      if (port && port->netns == static_cast<std::uint32_t>(netns.st_ino)) return {};
    }
  }
  CICD_ASSIGN(ListenerSockets sockets, open_listeners(netns_fd, {port_, 1}));
  const std::lock_guard lock(mutex_);
  return add_ports(std::move(sockets));
}

Result<> ResolverCore::add_ports(ListenerSockets sockets) {
  const std::uint32_t netns = sockets.netns;
  const auto add_all = [&]() -> Result<> {
    CICD_TRY(add_port(std::move(sockets.udp4), netns, false, false));
    CICD_TRY(add_port(std::move(sockets.tcp4), netns, false, true));
    if (sockets.udp6) CICD_TRY(add_port(std::move(sockets.udp6), netns, true, false));
    if (sockets.tcp6) CICD_TRY(add_port(std::move(sockets.tcp6), netns, true, true));
    return control_.serve_netns(netns, netns == own_netns_);
  };
  Result<> result = add_all();
  if (!result) close_ports(netns);
  return result;
}

void ResolverCore::close_ports(std::uint32_t netns) {
  for (auto& port : ports_) {
    if (port && port->netns == netns) port.reset();
  }
  docker_ports_.erase(netns);
}

Result<> ResolverCore::add_port(UniqueFd fd, std::uint32_t netns, bool is_v6, bool is_stream) {
  std::size_t place = 0;
  while (place < ports_.size() && ports_[place]) ++place;
  if (place == ports_.size()) ports_.emplace_back();
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(ResolverTag::kPort, place)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) {
    return fail_errno(errno, "epoll_ctl of the resolver");
  }
  ports_[place] = std::make_unique<Port>(Port{std::move(fd), netns, is_v6, is_stream});
  return {};
}

// Questions of it that are open get no reply.
void ResolverCore::stop_listening(std::uint32_t netns) {
  const std::lock_guard lock(mutex_);
  control_.stop_serving(netns);
  flights_.for_each([&](Flight& flight) {
    const Origin& origin = flight.origin;
    if (!origin.is_stream && ports_[origin.index]->netns == netns) end_flight(flight);
  });
  close_ports(netns);
}

void ResolverCore::receive_asks(std::uint32_t port) {
  std::array<mmsghdr, kAsksAtOnce> messages{};
  std::array<iovec, kAsksAtOnce> parts{};
  for (std::size_t i = 0; i < kAsksAtOnce; ++i) {
    parts[i] = {asks_->bytes[i].data(), kAskBytes};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_name = asks_->peers[i].data();
    messages[i].msg_hdr.msg_namelen = sizeof(asks_->peers[i]);
  }
  const int count =
      ::recvmmsg(ports_[port]->fd.get(), messages.data(), kAsksAtOnce, MSG_DONTWAIT, nullptr);
  Origin origin{.index = port};
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const msghdr& message = messages[at].msg_hdr;
    if ((message.msg_flags & MSG_TRUNC) != 0 || message.msg_namelen > origin.peer.size()) {
      ++others_.queries;
      ++others_.dropped;
      continue;
    }
    origin.peer = asks_->peers[at];
    origin.peer_bytes = static_cast<std::uint8_t>(message.msg_namelen);
    on_udp_ask(std::span(asks_->bytes[at]).first(messages[at].msg_len), origin);
  }
}

std::optional<cicd_dns_client> ResolverCore::client_of(const Port& port, const Origin& peer) const {
  return control_.dns_client({
      .netns = port.netns,
      .port = port_of(peer),
      .proto = static_cast<std::uint8_t>(port.is_stream ? IPPROTO_TCP : IPPROTO_UDP),
      .is_v6 = static_cast<std::uint8_t>(port.is_v6 ? 1 : 0),
  });
}

void ResolverCore::on_udp_ask(std::span<const std::uint8_t> bytes, const Origin& origin) {
  const AskFault fault = read_ask(bytes, ask_);
  const auto client = client_of(*ports_[origin.index], origin);
  Job* job = client ? job_of(client->slot) : nullptr;
  ResolverCounters& counters = job != nullptr ? job->counters : others_;
  ++counters.queries;
  if (fault == AskFault::kNoQuestion) {
    ++counters.dropped;
    return;
  }
  if (job == nullptr) {
    ++counters.unknown_clients;
    if (fault == AskFault::kNone) {
      reply_code(ask_, origin, {kRcodeRefused, ExtendedError::kProhibited, false});
    } else {
      ++counters.dropped;
    }
    return;
  }
  if (fault != AskFault::kNone) {
    ++counters.malformed;
    const auto out = begin_reply(origin, kDnsPlainUdpBytes);
    const std::uint8_t code =
        fault == AskFault::kNotSupported ? kRcodeNotImplemented : kRcodeFormat;
    commit_reply(origin, write_header(ask_, code, out));
    return;
  }
  on_ask(*job, *client, origin);
}

// `ask_` is the question.
void ResolverCore::on_ask(Job& job, const cicd_dns_client& client, const Origin& origin) {
  if (answer_here(job, client, origin) || ask_docker(job, client, origin)) return;
  const ResolverCache::Found found = cache_.find(job.group, ask_, now_ns_);
  if (found.answer == nullptr) {
    start_flight(job, client, origin);
    return;
  }
  ++job.counters.cached;
  deliver(job, ask_, origin, client, *found.answer, found.ttl_s);
}

bool ResolverCore::answer_here(Job& job, const cicd_dns_client& client, const Origin& origin) {
  if (ask_.edns_version != 0) {
    reply_code(ask_, origin, {});  // BADVERS
    return true;
  }
  if (ask_.record_class != kClassIn) {
    return refuse(job, client, origin, NameRefusal::kClass, {.is_refused = true});
  }
  const bool is_meta = ask_.type == 0 || ask_.type == kTypeOpt ||
                       (ask_.type >= kTypeFirstMeta && ask_.type <= kTypeLastMeta);
  if (is_meta) return refuse(job, client, origin, NameRefusal::kType, {.is_refused = true});
  if (is_localhost(ask_.text)) {
    const auto out = begin_reply(origin, kDnsPlainUdpBytes);
    commit_reply(origin, write_localhost(ask_, out));
    return true;
  }
  NameRefusal why = NameRefusal::kPolicy;
  const NameVerdict verdict = judge_ask(job, why);
  return refuse(job, client, origin, why, verdict);
}

NameVerdict ResolverCore::judge_ask(const Job& job, NameRefusal& why) const {
  const NameVerdict by_name = job.judge->judge_name(ask_.text);
  why = NameRefusal::kPolicy;
  if (!by_name.is_refused && !by_name.is_audited) return by_name;
  const auto ip = ask_.type == kTypePtr ? reverse_address(ask_.text) : std::nullopt;
  if (!ip) return by_name;
  why = NameRefusal::kReverse;
  return job.table.knows(*ip) ? NameVerdict{} : job.judge->judge_reverse(*ip);
}

// False: it is let pass.
bool ResolverCore::refuse(Job& job, const cicd_dns_client& client, const Origin& origin,
                          NameRefusal why, const NameVerdict& verdict) {
  if (!verdict.is_refused && !verdict.is_audited) return false;
  events_.name_denied({.client = client,
                       .name = ask_.text,
                       .type = ask_.type,
                       .why = why,
                       .is_audit = !verdict.is_refused});
  if (!verdict.is_refused) {
    ++job.counters.audited;
    return false;
  }
  ++job.counters.refused;
  const bool is_policy = why == NameRefusal::kPolicy || why == NameRefusal::kReverse;
  const std::uint8_t code =
      is_policy && verdict.how == DeniedNameAnswer::kNxdomain ? kRcodeNxdomain : kRcodeRefused;
  reply_code(ask_, origin,
             {code, is_policy ? ExtendedError::kBlocked : ExtendedError::kFiltered, false});
  return true;
}

void ResolverCore::reply_servfail(Job& job, const DnsAsk& ask, const Origin& origin) {
  ++job.counters.servfail;
  reply_code(ask, origin, {kRcodeServfail, ExtendedError::kNoReachable, false});
}

void ResolverCore::reply_code(const DnsAsk& ask, const Origin& origin, ReplyCode code) {
  const auto out = begin_reply(origin, kDnsPlainUdpBytes);
  commit_reply(origin, write_code(ask, code, out));
}

std::span<std::uint8_t> ResolverCore::begin_reply(const Origin& origin, std::size_t limit) {
  if (origin.is_stream) return large_;
  if (replies_->count == kBatch || (replies_->count > 0 && replies_->port != origin.index)) {
    flush_replies();
  }
  return std::span(replies_->bytes[replies_->count]).first(limit);
}

void ResolverCore::commit_reply(const Origin& origin, std::size_t bytes) {
  if (origin.is_stream) {
    Stream* stream = streams_->of(origin.index, origin.stream_number);
    if (stream != nullptr) Streams::append(*stream, std::span(large_).first(bytes));
    return;
  }
  Replies& replies = *replies_;
  replies.port = origin.index;
  replies.sizes[replies.count] = static_cast<std::uint16_t>(bytes);
  replies.peers[replies.count] = origin.peer;
  replies.peer_bytes[replies.count] = origin.peer_bytes;
  ++replies.count;
}

// A reply that cannot be sent is lost, as datagrams are; the client asks again.
void ResolverCore::flush_replies() {
  Replies& replies = *replies_;
  const std::size_t count = std::exchange(replies.count, 0);
  if (count == 0 || !ports_[replies.port]) return;
  std::array<mmsghdr, kBatch> messages;  // not cleared: that would take longer than a reply
  std::array<iovec, kBatch> parts;
  for (std::size_t i = 0; i < count; ++i) {
    messages[i] = {};
    parts[i] = {replies.bytes[i].data(), replies.sizes[i]};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_name = replies.peers[i].data();
    messages[i].msg_hdr.msg_namelen = replies.peer_bytes[i];
  }
  for (std::size_t sent = 0; sent < count;) {
    const int now_sent = ::sendmmsg(ports_[replies.port]->fd.get(), &messages[sent],
                                    static_cast<unsigned>(count - sent), MSG_DONTWAIT);
    if (now_sent <= 0) ++others_.dropped;
    sent += now_sent > 0 ? static_cast<std::size_t>(now_sent) : 1;
  }
}

void ResolverCore::accept_streams(std::uint32_t port) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    Origin peer;
    socklen_t size = static_cast<socklen_t>(peer.peer.size());
    UniqueFd fd(::accept4(ports_[port]->fd.get(), reinterpret_cast<sockaddr*>(peer.peer.data()),
                          &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && (errno == EMFILE || errno == ENFILE) && spare_) {
      // It would stay in the queue, and wake us for ever.
      spare_.reset();
      fd = UniqueFd(::accept4(ports_[port]->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      fd.reset();
      spare_ = UniqueFd(::fcntl(wake_.get(), F_DUPFD_CLOEXEC, 0));
      ++others_.limited;
      continue;
    }
    if (!fd) return;
    accept_stream(std::move(fd), *ports_[port], peer);
  }
}

void ResolverCore::accept_stream(UniqueFd fd, const Port& port, const Origin& peer) {
  const auto client = client_of(port, peer);
  Job* job = client ? job_of(client->slot) : nullptr;
  if (job == nullptr) {
    ++others_.unknown_clients;
    return;
  }
  if (streams_->size() >= options_.max_streams || job->streams >= options_.max_streams_per_job) {
    ++job->counters.limited;
    return;
  }
  Stream* stream = streams_->add(std::move(fd), now_ns_);
  if (stream == nullptr) return;
  stream->client = *client;
  stream->netns = port.netns;
  stream->job_number = job->number;
  ++job->streams;
  next_sweep_ns_ = std::min(next_sweep_ns_, now_ns_ + kSweepPauseNs);
}

void ResolverCore::close_stream(Stream& stream) {
  Job* job = job_of(stream.client.slot, stream.job_number);
  if (job != nullptr) --job->streams;
  streams_->close(stream);
}

void ResolverCore::on_stream(std::uint32_t index, std::uint32_t events) {
  Stream* stream = streams_->of(index);
  if (stream == nullptr) return;
  const bool is_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (is_broken || !Streams::read(*stream, now_ns_)) {
    close_stream(*stream);
    return;
  }
  serve_stream(*stream);
}

// Answers what has been read, as far as the limits go; also called when an answer has come.
void ResolverCore::serve_stream(Stream& stream) {
  Job* job = job_of(stream.client.slot, stream.job_number);
  bool is_garbage = job == nullptr;
  const Origin origin{.is_stream = true, .index = stream.index, .stream_number = stream.number};
  Streams::take_messages(stream, [&](std::span<const std::uint8_t> message) {
    if (is_garbage) return;
    ++job->counters.queries;
    const AskFault fault = read_ask(message, ask_);
    if (fault == AskFault::kNone) {
      on_ask(*job, stream.client, origin);
      return;
    }
    // Whoever sends this has lost the frames, or is no DNS client.
    ++job->counters.malformed;
    is_garbage = fault == AskFault::kNoQuestion;
    if (is_garbage) return;
    const std::uint8_t code =
        fault == AskFault::kNotSupported ? kRcodeNotImplemented : kRcodeFormat;
    commit_reply(origin, write_header(ask_, code, begin_reply(origin, kDnsPlainUdpBytes)));
  });
  const bool is_done = stream.has_ended && stream.open == 0 && !stream.is_full();
  if (is_garbage || !Streams::flush(stream, now_ns_) || (is_done && !stream.has_unsent())) {
    close_stream(stream);
    return;
  }
  streams_->update_events(stream);
}

void ResolverCore::serve_touched() {
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    Stream* stream = streams_->of(touched_[i].index, touched_[i].number);
    if (stream != nullptr) serve_stream(*stream);
  }
  touched_.clear();
}

void ResolverCore::close_idle_streams() {
  if (now_ns_ < next_sweep_ns_) return;
  const auto idle_ns = static_cast<std::uint64_t>(options_.idle_timeout.count()) * kMillisecondNs;
  streams_->for_each([&](Stream& stream) {
    const bool is_waiting = stream.open > 0 && !stream.has_unsent();
    if (!is_waiting && now_ns_ - stream.last_ns >= idle_ns) close_stream(stream);
  });
  next_sweep_ns_ = streams_->size() == 0 ? UINT64_MAX : now_ns_ + kSweepPauseNs;
}

}  // namespace cicd
