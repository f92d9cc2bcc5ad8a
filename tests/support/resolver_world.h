// SPDX-License-Identifier: Apache-2.0
// A world for the resolver: a policy, a DNS server that answers as a test says, and clients; the
// kernel side is fake_egress.h. Sockets are real, on the loopback address.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "egress/policy_prefixes.h"
#include "egress/resolver.h"
#include "egress/resolver_question.h"
#include "names/dns_message.h"
#include "support/dns_builder.h"
#include "support/fake_egress.h"

namespace cicd::support {

using Bytes = std::vector<std::uint8_t>;

// Allows names that end in one of `allowed`, each by a rule of its own number.
class FakeJudge final : public NameJudge {
 public:
  explicit FakeJudge(std::vector<std::string> allowed, std::vector<std::string> upstreams = {})
      : allowed_(std::move(allowed)), upstreams_(std::move(upstreams)) {}

  NameVerdict judge_name(std::string_view name) const override {
    if (rule_of(name) != 0) return {};
    return {.is_refused = !is_audit, .is_audited = is_audit, .how = how};
  }
  NameVerdict judge_reverse(const IpBytes& ip) const override {
    const bool is_trusted = trusted && trusted->contains(ip);
    return {.is_refused = !is_trusted && !is_audit, .is_audited = !is_trusted && is_audit};
  }
  cicd_egress_rules rules_of_name(std::string_view name) const override {
    cicd_egress_rules out{};
    if (rule_of(name) == 0) return out;
    out.count = 1;
    out.rules[0] = {.port_first = 443,
                    .port_last = 443,
                    .proto = IPPROTO_TCP,
                    .kind = CICD_EGRESS_ALLOW,
                    .scopes = CICD_SCOPE_HOST,
                    .rule = rule_of(name)};
    return out;
  }
  std::optional<cicd_egress_rules> merge(const cicd_egress_rules& a,
                                         const cicd_egress_rules& b) const override {
    cicd_egress_rules out = a;
    for (std::uint32_t i = 0; i < b.count; ++i) {
      bool is_there = false;
      for (std::uint32_t k = 0; k < out.count; ++k) {
        is_there = is_there || out.rules[k].rule == b.rules[i].rule;
      }
      if (is_there) continue;
      if (out.count == CICD_EGRESS_RULES_MAX) return std::nullopt;
      out.rules[out.count++] = b.rules[i];
    }
    return out;
  }
  InsideVerdict judge_inside(const IpBytes& ip) const override {
    static const IpPrefix kRanges[] = {*parse_cidr("10.0.0.0/8"), *parse_cidr("127.0.0.0/8"),
                                       *parse_cidr("169.254.0.0/16"), *parse_cidr("fc00::/7"),
                                       *parse_cidr("::1/128")};
    for (const IpPrefix& range : kRanges) {
      if (!range.contains(ip) || (trusted && trusted->contains(ip))) continue;
      return {.scopes = CICD_SCOPE_HOST, .is_blocked = !is_audit};
    }
    return {};
  }
  std::vector<std::string> upstreams() const override { return upstreams_; }

  bool is_audit = false;
  DeniedNameAnswer how = DeniedNameAnswer::kRefused;
  std::optional<IpPrefix> trusted;

 private:
  std::uint16_t rule_of(std::string_view name) const {
    for (std::size_t i = 0; i < allowed_.size(); ++i) {
      if (name.ends_with(allowed_[i])) return static_cast<std::uint16_t>(i + 1);
    }
    return 0;
  }
  std::vector<std::string> allowed_;
  std::vector<std::string> upstreams_;
};

// What the resolver tells, as text: "denied policy evil.test 1 of 1", "resolved a.test 1 to 2".
class Told final : public ResolverEvents {
 public:
  void name_denied(const DeniedName& name) override {
    static constexpr const char* kWhy[] = {"policy", "reverse", "type", "class", "rebinding"};
    add(std::string(name.is_audit ? "audit " : "denied ") + kWhy[static_cast<int>(name.why)] + " " +
        std::string(name.name) + " " + std::to_string(name.type) + " of " +
        std::to_string(name.client.slot) +
        (name.why == NameRefusal::kRebinding ? " at " + text_of_ip(name.ip) : ""));
  }
  void name_resolved(const ResolvedName& name) override {
    add("resolved " + std::string(name.name) + " " + std::to_string(name.type) + " to " +
        std::to_string(name.addresses.size()));
  }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  static std::string text_of_ip(const IpBytes& ip) {
    char text[INET6_ADDRSTRLEN] = "";
    const bool is_v4 = is_mapped_ipv4(ip);
    ::inet_ntop(is_v4 ? AF_INET : AF_INET6, ip.data() + (is_v4 ? 12 : 0), text, sizeof(text));
    return text;
  }
  void add(std::string line) {
    const std::lock_guard lock(mutex_);
    if (lines_.size() < 10'000) lines_.push_back(std::move(line));
  }
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

inline UniqueFd bound_socket(int type, std::uint16_t port = 0) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  // On a datagram socket it would let two of them have one port.
  const int on = type == SOCK_STREAM ? 1 : 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = loopback(port);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

inline void wait_at_most(int fd, int seconds) {
  const timeval limit{.tv_sec = seconds, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

inline bool send_all(int fd, const Bytes& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t more = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += static_cast<std::size_t>(more);
  }
  return true;
}

// A message with its length in front; empty: the connection ended, or nothing came in time.
inline Bytes read_frame(int fd) {
  const auto read_exactly = [fd](Bytes& out) {
    std::size_t have = 0;
    while (have < out.size()) {
      const ssize_t got = ::recv(fd, out.data() + have, out.size() - have, 0);
      if (got <= 0) return false;
      have += static_cast<std::size_t>(got);
    }
    return true;
  };
  Bytes length(2);
  if (!read_exactly(length)) return {};
  Bytes message(static_cast<std::size_t>(length[0] << 8 | length[1]));
  return read_exactly(message) ? message : Bytes{};
}

// A DNS server whose answers a test writes; UDP and TCP on one port.
class ScriptedServer {
 public:
  // Empty: no answer.
  using Script = std::function<Bytes(const DnsAsk& ask, bool is_tcp)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    udp_ = bound_socket(SOCK_DGRAM);
    port_ = support::port_of(udp_.get());
    tcp_ = bound_socket(SOCK_STREAM, port_);
    EXPECT_EQ(::listen(tcp_.get(), 16), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    is_over_ = true;
    thread_.join();
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::size_t asked() const { return asked_; }
  std::vector<Bytes> raw_asks() const {
    const std::lock_guard lock(mutex_);
    return raw_;
  }

  // The beginning of an answer to `ask`: its id and its question as it was sent.
  static DnsBuilder begin(const DnsAsk& ask, std::uint16_t flags = DnsBuilder::kAnswer) {
    DnsBuilder out(ask.id, flags);
    out.count_question().raw(Bytes(ask.wire_name().begin(), ask.wire_name().end()));
    out.u16(ask.type).u16(1);
    return out;
  }

 private:
  void serve() {
    Bytes buffer(4'096);
    while (!is_over_) {
      pollfd waiting[] = {{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
      if (::poll(waiting, 2, 20) <= 0) continue;
      if (waiting[0].revents != 0) {
        sockaddr_in peer{};
        socklen_t size = sizeof(peer);
        const ssize_t got = ::recvfrom(udp_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&peer), &size);
        if (got <= 0) continue;
        const Bytes reply = answer(Bytes(buffer.begin(), buffer.begin() + got), false);
        if (reply.empty()) continue;
        ::sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer),
                 size);
      }
      if (waiting[1].revents != 0) serve_stream();
    }
  }
  void serve_stream() {
    const UniqueFd client(::accept(tcp_.get(), nullptr, nullptr));
    wait_at_most(client.get(), 2);
    const Bytes message = read_frame(client.get());
    if (message.empty()) return;
    Bytes reply = answer(message, true);
    if (reply.empty()) return;
    reply.insert(reply.begin(), {static_cast<std::uint8_t>(reply.size() >> 8),
                                 static_cast<std::uint8_t>(reply.size())});
    send_all(client.get(), reply);
  }
  Bytes answer(const Bytes& message, bool is_tcp) {
    DnsAsk ask;
    EXPECT_EQ(read_ask(message, ask), AskFault::kNone);
    ++asked_;
    {
      const std::lock_guard lock(mutex_);
      if (raw_.size() < 1'000) raw_.push_back(message);
    }
    return script_(ask, is_tcp);
  }

  Script script_;
  UniqueFd udp_, tcp_;
  std::uint16_t port_ = 0;
  std::atomic<bool> is_over_ = false;
  std::atomic<std::size_t> asked_ = 0;
  mutable std::mutex mutex_;
  std::vector<Bytes> raw_;
  std::thread thread_;
};

// An OPT record: EDNS with this size, and DO.
inline Bytes opt_record(std::uint16_t bytes, bool wants_dnssec = false) {
  return {0,
          0,
          41,
          static_cast<std::uint8_t>(bytes >> 8),
          static_cast<std::uint8_t>(bytes),
          0,
          0,
          static_cast<std::uint8_t>(wants_dnssec ? 0x80 : 0),
          0,
          0,
          0};
}

inline Bytes question(std::string_view name, std::uint16_t type, std::uint16_t id = 7,
                      std::uint16_t edns_bytes = 0) {
  DnsBuilder out(id);
  out.question(name, type);
  Bytes bytes = out.bytes();
  if (edns_bytes == 0) return bytes;
  bytes[11] = 1;
  DnsBuilder::append(bytes, opt_record(edns_bytes));
  return bytes;
}

// A reply as the parser of src/names reads it, which is not the one that the resolver uses.
struct Reply {
  Bytes bytes;
  DnsMessage message;

  explicit Reply(Bytes raw) : bytes(std::move(raw)) { parse_dns(bytes, message); }
  int rcode() const { return bytes.size() < 12 ? -1 : message.rcode; }
  std::size_t answers() const {
    return bytes.size() < 12 ? 0 : static_cast<std::size_t>(bytes[6] << 8 | bytes[7]);
  }
  std::set<std::string> addresses() const {
    std::set<std::string> out;
    for (const DnsAddress& each : message.addresses()) {
      char text[INET6_ADDRSTRLEN];
      ::inet_ntop(each.address.is_v6 ? AF_INET6 : AF_INET, each.address.bytes.data(), text,
                  sizeof(text));
      out.insert(text);
    }
    return out;
  }
  // The code of an extended error; -1: none.
  int extended_error() const {
    for (std::size_t i = 12; i + 15 <= bytes.size(); ++i) {
      if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 41 && bytes[i + 11] == 0 &&
          bytes[i + 12] == 15) {
        return bytes[i + 15] << 8 | bytes[i + 16];
      }
    }
    return -1;
  }
};

class UdpClient {
 public:
  explicit UdpClient(std::uint16_t resolver_port) : fd_(bound_socket(SOCK_DGRAM)) {
    const sockaddr_in to = loopback(resolver_port);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    wait_at_most(fd_.get(), 10);
  }
  int fd() const { return fd_.get(); }
  std::uint16_t port() const { return support::port_of(fd_.get()); }
  void send(const Bytes& bytes) const {
    EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  Bytes receive(int flags = 0) const {
    Bytes bytes(65'535);
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), flags);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  std::unique_ptr<Reply> ask(const Bytes& bytes) const {
    send(bytes);
    return std::make_unique<Reply>(receive());
  }
  std::unique_ptr<Reply> ask(std::string_view name, std::uint16_t type,
                             std::uint16_t edns_bytes = 0) const {
    return ask(question(name, type, 7, edns_bytes));
  }

 private:
  UniqueFd fd_;
};

class TcpClient {
 public:
  explicit TcpClient(std::uint16_t resolver_port) : fd_(bound_socket(SOCK_STREAM)) {
    const sockaddr_in to = loopback(resolver_port);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    wait_at_most(fd_.get(), 10);
  }
  int fd() const { return fd_.get(); }
  bool send(const Bytes& bytes) const { return send_all(fd_.get(), bytes); }
  Bytes receive() const { return read_frame(fd_.get()); }

  static Bytes framed(const Bytes& message) {
    Bytes out = {static_cast<std::uint8_t>(message.size() >> 8),
                 static_cast<std::uint8_t>(message.size())};
    DnsBuilder::append(out, message);
    return out;
  }

 private:
  UniqueFd fd_;
};

}  // namespace cicd::support
