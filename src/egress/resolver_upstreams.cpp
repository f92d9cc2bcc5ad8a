// SPDX-License-Identifier: Apache-2.0
// Questions to upstreams, and what comes back.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "egress/resolver_core.h"
#include "egress/resolver_tags.h"

namespace cicd {

namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_letter(std::uint8_t byte) {
  const std::uint8_t lower = byte | 0x20;
  return lower >= 'a' && lower <= 'z';
}

enum class Match : std::uint8_t { kNone, kOtherCase, kSame };

// Whether an answer is to this question. Its name has to have our letters: whoever only guesses
// would have to guess them too.
Match match(const Flight& flight, std::span<const std::uint8_t> bytes) {
  const std::size_t name_bytes = flight.ask.name_bytes;
  if (bytes.size() < kDnsHeaderBytes + name_bytes + 4 || (bytes[2] & 0xf8) != 0x80) {
    return Match::kNone;
  }
  if (u16_at(bytes, 4) != 1) return Match::kNone;
  const auto name = bytes.subspan(kDnsHeaderBytes, name_bytes);
  const std::size_t end = kDnsHeaderBytes + name_bytes;
  if (u16_at(bytes, end) != flight.ask.type || u16_at(bytes, end + 2) != 1) return Match::kNone;
  bool is_same = true;
  for (std::size_t i = 0; i < name_bytes; ++i) {
    if (name[i] == flight.sent_name[i]) continue;
    if (!is_letter(name[i]) || (name[i] ^ flight.sent_name[i]) != 0x20) return Match::kNone;
    is_same = false;
  }
  return is_same ? Match::kSame : Match::kOtherCase;
}

}  // namespace

// Null: there is no room, and the client has been told.
Flight* ResolverCore::take_flight(Job& job, const cicd_dns_client& client, const Origin& origin) {
  Flight* flight = job.open < options_.max_open_per_job ? flights_.take() : nullptr;
  if (flight == nullptr) {
    ++job.counters.limited;
    reply_servfail(job, ask_, origin);
    return nullptr;
  }
  flight->ask = ask_;
  flight->origin = origin;
  flight->client = client;
  flight->job_number = job.number;
  flight->first = job.preferred;
  ++job.open;
  if (origin.is_stream) ++streams_->of(origin.index)->open;
  return flight;
}

void ResolverCore::start_flight(Job& job, const cicd_dns_client& client, const Origin& origin) {
  if (Flight* flight = take_flight(job, client, origin)) send_flight(job, *flight);
}

// Letters of random case; length bytes are below 64 and therefore none.
void ResolverCore::send_flight(Job& job, Flight& flight) {
  const std::size_t which = (flight.first + flight.tries) % job.upstreams.size();
  flight.upstream = job.upstreams[which];
  const std::uint64_t wait_ns = static_cast<std::uint64_t>(options_.try_timeout.count()) *
                                kMillisecondNs * std::min<std::uint64_t>(flight.tries + 1u, 3);
  flights_.new_id(flight, random_);
  std::uint8_t bits = 0;
  unsigned left = 0;
  for (std::size_t i = 0; i < flight.ask.name_bytes; ++i) {
    const std::uint8_t byte = flight.ask.name[i];
    flight.sent_name[i] = byte;
    if (!is_letter(byte)) continue;
    if (left == 0) {
      bits = random_.u8();
      left = 8;
    }
    flight.sent_name[i] = static_cast<std::uint8_t>((byte & ~0x20) | ((bits & 1) << 5));
    bits = static_cast<std::uint8_t>(bits >> 1);
    --left;
  }
  flights_.wait(flight, flight.tries, now_ns_ + wait_ns);
  ++job.counters.upstream_queries;
  const auto place = flight.upstream->begin(random_, now_ns_);
  if (!place) return;  // no socket: as if it were lost
  flight.socket = place->socket;
  flight.has_socket = true;
  flight.upstream->commit(
      write_upstream_ask(flight.ask, flight.id, flight.wire_name(), place->bytes));
}

void ResolverCore::leave_socket(Flight& flight) {
  if (flight.has_socket) flight.upstream->done(flight.socket);
  flight.has_socket = false;
}

void ResolverCore::end_flight(Flight& flight) {
  leave_socket(flight);
  if (flight.call) --calls_;
  if (Job* job = job_of(flight.client.slot, flight.job_number)) {
    --job->open;
    if (flight.asks_docker) --job->docker_asks;
  }
  if (flight.origin.is_stream) {
    Stream* stream = streams_->of(flight.origin.index, flight.origin.stream_number);
    if (stream != nullptr) {
      --stream->open;
      touched_.push_back({stream->index, stream->number});
    }
  }
  flights_.give_back(flight);
}

// The next upstream, or the same one again when there is no other; in the end SERVFAIL.
void ResolverCore::try_next(Flight& flight) {
  Job* job = job_of(flight.client.slot, flight.job_number);
  if (job == nullptr) {
    end_flight(flight);
    return;
  }
  leave_socket(flight);
  if (flight.call) --calls_;
  flight.call.reset();
  if (flight.asks_docker) {
    leave_docker(*job, flight);
    return;
  }
  if (++flight.tries < kMaxTries) {
    send_flight(*job, flight);
    return;
  }
  ++job->counters.upstream_failed;
  reply_servfail(*job, flight.ask, flight.origin);
  end_flight(flight);
}

void ResolverCore::expire_flights() {
  for (std::size_t line = 0; line <= kDockerLine; ++line) {
    Flight* flight = flights_.first(line);
    for (; flight != nullptr && flight->end_ns <= now_ns_; flight = flights_.first(line)) {
      if (Job* job = job_of(flight->client.slot, flight->job_number)) {
        ++job->counters.upstream_timeouts;
        if (!flight->asks_docker) prefer_another(*job, *flight->upstream);
      }
      try_next(*flight);
    }
  }
}

void ResolverCore::on_upstream(std::uint32_t number) {
  const std::size_t index = number / Upstream::kSockets;
  const auto socket = static_cast<std::uint8_t>(number % Upstream::kSockets);
  if (index >= upstreams_.size() || !upstreams_[index]) return;
  Upstream& upstream = *upstreams_[index];
  const bool is_served = upstream.receive(
      socket, [&](std::span<std::uint8_t> bytes) { on_upstream_message(upstream, socket, bytes); });
  if (!is_served) on_refused(upstream, socket);
}

void ResolverCore::prefer_another(Job& job, const Upstream& than) {
  if (job.upstreams[job.preferred] == &than) {
    job.preferred = (job.preferred + 1) % job.upstreams.size();
  }
}

// The server's machine says that nobody listens there. Where there is another one it is asked at
// once; a single one may be on its way back.
void ResolverCore::on_refused(const Upstream& upstream, std::uint8_t socket) {
  flights_.for_each([&](Flight& flight) {
    if (flight.upstream != &upstream || !flight.has_socket || flight.socket != socket) return;
    Job* job = job_of(flight.client.slot, flight.job_number);
    if (job == nullptr || flight.tries + 1u >= job->upstreams.size()) return;
    prefer_another(*job, upstream);
    try_next(flight);
  });
}

void ResolverCore::on_upstream_message(Upstream& upstream, std::uint8_t socket,
                                       std::span<std::uint8_t> bytes) {
  Flight* flight = bytes.size() < kDnsHeaderBytes ? nullptr : flights_.of_id(u16_at(bytes, 0));
  const bool is_ours = flight != nullptr && flight->upstream == &upstream && flight->has_socket &&
                       flight->socket == socket;
  const Match how = is_ours ? match(*flight, bytes) : Match::kNone;
  if (how == Match::kNone) {
    ++others_.upstream_unexpected;
    return;
  }
  const bool is_truncated = (bytes[2] & 0x02) != 0;
  if (is_truncated || how == Match::kOtherCase) {
    start_call(*flight);
  } else {
    on_answer(*flight, bytes);
  }
}

void ResolverCore::on_answer(Flight& flight, std::span<const std::uint8_t> bytes) {
  Job* job = job_of(flight.client.slot, flight.job_number);
  if (job == nullptr) {
    end_flight(flight);
    return;
  }
  if (read_answer(bytes, flight.ask, answer_) != AnswerFault::kNone) {
    ++job->counters.upstream_bad;
    try_next(flight);
    return;
  }
  if (flight.asks_docker) {
    on_docker_answer(*job, flight);
    return;
  }
  const bool is_an_answer = answer_.rcode == kRcodeOk || answer_.rcode == kRcodeNxdomain;
  if (!is_an_answer && flight.tries + 1u < job->upstreams.size()) {
    try_next(flight);
    return;
  }
  if (is_an_answer) cache_.store(job->group, flight.ask, answer_, now_ns_);
  deliver(*job, flight.ask, flight.origin, flight.client, answer_, answer_.ttl_s);
  end_flight(flight);
}

// Over TCP nobody can forge, and everything fits.
void ResolverCore::start_call(Flight& flight) {
  leave_socket(flight);
  if (flight.call || calls_ == kMaxCalls || !open_call(flight)) {
    try_next(flight);
    return;
  }
  if (Job* job = job_of(flight.client.slot, flight.job_number)) ++job->counters.upstream_tcp;
  flights_.wait(
      flight, kCallLine,
      now_ns_ + 3 * kMillisecondNs * static_cast<std::uint64_t>(options_.try_timeout.count()));
}

bool ResolverCore::open_call(Flight& flight) {
  auto fd = connect_stream(flight.upstream->address());
  return fd && begin_call(flight, std::move(*fd));
}

bool ResolverCore::begin_call(Flight& flight, UniqueFd fd) {
  auto call = std::make_unique<UpstreamCall>();
  call->fd = std::move(fd);
  epoll_event event{.events = EPOLLOUT, .data = {.u64 = tag_of(ResolverTag::kCall, flight.number)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, call->fd.get(), &event) != 0) return false;
  call->out.resize(2 + kMaxUpstreamAskBytes);
  const std::size_t size = write_upstream_ask(flight.ask, flight.id, flight.wire_name(),
                                              std::span(call->out).subspan(2));
  call->out[0] = static_cast<std::uint8_t>(size >> 8);
  call->out[1] = static_cast<std::uint8_t>(size & 0xff);
  call->out.resize(2 + size);
  flight.call = std::move(call);
  ++calls_;
  return true;
}

void ResolverCore::on_call(std::uint32_t number) {
  Flight* flight = flights_.of_number(number);
  if (flight == nullptr || !flight->call) return;
  UpstreamCall& call = *flight->call;
  if (call.sent < call.out.size()) {
    if (!send_call(call)) {
      try_next(*flight);
      return;
    }
    if (call.sent < call.out.size()) return;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(ResolverTag::kCall, number)}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, call.fd.get(), &event);
    return;
  }
  if (!read_call(call)) {
    try_next(*flight);
    return;
  }
  const std::span<const std::uint8_t> in(call.in);
  if (in.size() < 2 || in.size() < 2u + u16_at(in, 0)) return;
  // on_answer() may let go of the call: the bytes are its own from here on.
  const std::unique_ptr<UpstreamCall> kept = std::move(flight->call);
  --calls_;
  const auto message = in.subspan(2, u16_at(in, 0));
  const bool is_ours = message.size() >= kDnsHeaderBytes && u16_at(message, 0) == flight->id &&
                       match(*flight, message) != Match::kNone && (message[2] & 0x02) == 0;
  is_ours ? on_answer(*flight, message) : try_next(*flight);
}

bool ResolverCore::send_call(UpstreamCall& call) {
  const ssize_t sent = ::send(call.fd.get(), call.out.data() + call.sent,
                              call.out.size() - call.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  call.sent += static_cast<std::size_t>(sent);
  return true;
}

bool ResolverCore::read_call(UpstreamCall& call) {
  constexpr std::size_t kReadBytes = 16 * 1024;
  const std::size_t before = call.in.size();
  call.in.resize(before + kReadBytes);
  const ssize_t got = ::recv(call.fd.get(), call.in.data() + before, kReadBytes, MSG_DONTWAIT);
  call.in.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

// The reply is written first, as that finds the addresses; it is sent only when all of them are in
// the kernel.
void ResolverCore::deliver(Job& job, const DnsAsk& ask, const Origin& origin,
                           const cicd_dns_client& client, const DnsAnswer& answer,
                           std::uint32_t ttl_s, bool is_dockers) {
  const std::size_t limit =
      origin.is_stream ? large_.size() : std::min(ask.udp_bytes, kOurUdpBytes);
  const auto out = begin_reply(origin, limit);
  const NameJudge& judge = *job.judge;
  const auto is_left_out = [&](const IpBytes& ip) {
    if (is_dockers) return false;
    const InsideVerdict verdict = judge.judge_inside(ip);
    if (verdict.scopes != 0) {
      events_.name_denied({.client = client,
                           .name = ask.text,
                           .type = ask.type,
                           .why = NameRefusal::kRebinding,
                           .is_audit = !verdict.is_blocked,
                           .ip = ip,
                           .scopes = verdict.scopes});
    }
    return verdict.is_blocked;
  };
  std::size_t size = write_answer(ask, answer, ttl_s, is_left_out, addresses_, out);
  job.counters.rebinding_addresses += addresses_.dropped;
  if (!job.table.learn(judge, ask.text, addresses_.all(), ttl_s, now_ns_)) {
    ++job.counters.inserts_failed;
    reply_servfail(job, ask, origin);
    return;
  }
  next_reap_ns_ = std::min(next_reap_ns_, job.table.next_end_ns());
  if (size == 0) {
    ++job.counters.truncated;
    size = write_code(ask, {answer.rcode, ExtendedError::kNone, true}, out);
  }
  ++(answer.rcode == kRcodeServfail ? job.counters.servfail : job.counters.answered);
  if (answer.rcode == kRcodeOk) {
    events_.name_resolved({.client = client,
                           .name = ask.text,
                           .type = ask.type,
                           .ttl_s = ttl_s,
                           .addresses = addresses_.all()});
  }
  commit_reply(origin, size);
}

void ResolverCore::flush_upstreams() {
  for (const auto& upstream : upstreams_) {
    if (upstream) upstream->flush();
  }
}

}  // namespace cicd
