// SPDX-License-Identifier: Apache-2.0
// The three ends of bench/cost/resolver: a DNS server that answers at once, our resolver as a
// forwarder to it without a kernel side, and a client that counts.
//
// Usage: resolver_load answer PORT
//        resolver_load forward PORT UPSTREAM_PORT CACHE(0|1)
//        resolver_load ask PORT NAMES OPEN SECONDS   (prints: queries a second, p50 and p99 in us,
//                                                     questions without an answer)
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "egress/resolver.h"
#include "egress/resolver_question.h"
#include "support/resolver_world.h"

namespace {

using namespace cicd;
using namespace cicd::support;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 64;
constexpr std::size_t kBytes = 512;

std::uint16_t port_of_text(const char* text) {
  return static_cast<std::uint16_t>(std::strtoul(text, nullptr, 10));
}

// Many datagrams in one system call, so that the ends are not what is measured.
struct Batch {
  Batch() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts[i] = {bytes[i].data(), kBytes};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
  void with_peers() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      messages[i].msg_hdr.msg_name = &peers[i];
      messages[i].msg_hdr.msg_namelen = sizeof(peers[i]);
    }
  }
  std::array<std::array<std::uint8_t, kBytes>, kBatch> bytes{};
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  std::array<sockaddr_in, kBatch> peers{};
};

void more_room(int fd) {
  const int bytes = 4 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
}

int answer(std::uint16_t port) {
  const UniqueFd fd = bound_socket(SOCK_DGRAM, port);
  more_room(fd.get());
  Batch batch;
  DnsAsk ask;
  for (;;) {
    batch.with_peers();
    for (iovec& part : batch.parts) part.iov_len = kBytes;
    const int count = ::recvmmsg(fd.get(), batch.messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      auto& bytes = batch.bytes[at];
      batch.parts[at].iov_len = 0;
      if (read_ask(std::span(bytes).first(batch.messages[at].msg_len), ask) != AskFault::kNone) {
        continue;
      }
      // The question as it is, one address of the asked name behind it.
      static constexpr std::uint8_t kRecord[] = {0xc0, 12, 0, 1, 0,   1,  0,   0,
                                                 1,    44, 0, 4, 198, 51, 100, 7};
      const std::size_t end = kDnsHeaderBytes + ask.name_bytes + 4;
      bytes[2] = 0x81;
      bytes[3] = 0x80;
      bytes[7] = 1;
      bytes[11] = 0;
      std::copy(std::begin(kRecord), std::end(kRecord), bytes.begin() + static_cast<long>(end));
      batch.parts[at].iov_len = end + sizeof(kRecord);
    }
    for (int sent = 0; sent < count;) {
      const int now = ::sendmmsg(fd.get(), &batch.messages[static_cast<std::size_t>(sent)],
                                 static_cast<unsigned>(count - sent), 0);
      sent += now > 0 ? now : 1;
    }
  }
}

class NoEvents final : public ResolverEvents {
 public:
  void name_denied(const DeniedName&) override {}
  void name_resolved(const ResolvedName&) override {}
};

int forward(std::uint16_t port, std::uint16_t upstream, bool has_cache) {
  FakeEgress egress;
  NoEvents events;
  ResolverOptions options;
  options.port = port;
  options.port_tries = 1;
  if (!has_cache) options.cache_bytes = 0;
  auto resolver = Resolver::start(egress, events, options);
  const auto judge = std::make_shared<FakeJudge>(
      std::vector<std::string>{"bench.test"},
      std::vector<std::string>{"127.0.0.1:" + std::to_string(upstream)});
  const Result<> added = resolver ? (*resolver)->add_job(1, judge, false)
                                  : Result<>(std::unexpected(resolver.error()));
  if (!added) {
    std::fprintf(stderr, "resolver_load: %s\n", added.error().text.c_str());
    return 1;
  }
  for (;;) ::pause();
}

// Keeps `open` questions on their way; one that is not answered in a second is asked anew.
class Asker {
 public:
  Asker(std::uint16_t port, std::size_t names, std::size_t open)
      : client_(port), names_(names), sent_at_(open) {
    more_room(client_.fd());
  }

  void run(Clock::time_point end) {
    for (std::size_t id = 0; id < sent_at_.size(); ++id) queue(id);
    send();
    while (Clock::now() < end) {
      pollfd waiting{client_.fd(), POLLIN, 0};
      if (::poll(&waiting, 1, 100) > 0) receive();
      ask_lost_again();
      send();
    }
  }
  std::vector<std::uint32_t>& latencies_us() { return latencies_us_; }
  std::size_t lost() const { return lost_; }

 private:
  void queue(std::size_t id) {
    const std::string name = "n" + std::to_string(next_++ % names_) + ".zone.bench.test";
    const Bytes bytes = question(name, kTypeA, static_cast<std::uint16_t>(id));
    std::copy(bytes.begin(), bytes.end(), out_.bytes[queued_].begin());
    out_.parts[queued_].iov_len = bytes.size();
    sent_at_[id] = Clock::now();
    if (++queued_ == kBatch) send();
  }
  void send() {
    for (std::size_t sent = 0; sent < queued_;) {
      const int now =
          ::sendmmsg(client_.fd(), &out_.messages[sent], static_cast<unsigned>(queued_ - sent), 0);
      sent += now > 0 ? static_cast<std::size_t>(now) : 1;
    }
    queued_ = 0;
  }
  void receive() {
    const int count = ::recvmmsg(client_.fd(), in_.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    const auto now = Clock::now();
    for (int i = 0; i < count; ++i) {
      const auto& bytes = in_.bytes[static_cast<std::size_t>(i)];
      const std::size_t id = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]);
      if (id >= sent_at_.size() || (bytes[3] & 15) != 0 || bytes[7] != 1) {
        ++lost_;
        if (id < sent_at_.size()) queue(id);
        continue;
      }
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - sent_at_[id]);
      latencies_us_.push_back(static_cast<std::uint32_t>(took.count()));
      queue(id);
    }
  }
  void ask_lost_again() {
    const auto now = Clock::now();
    if (now - looked_at_ < std::chrono::milliseconds(200)) return;
    looked_at_ = now;
    for (std::size_t id = 0; id < sent_at_.size(); ++id) {
      if (now - sent_at_[id] < std::chrono::seconds(1)) continue;
      ++lost_;
      queue(id);
    }
  }

  UdpClient client_;
  std::size_t names_;
  std::size_t next_ = 0;
  std::size_t lost_ = 0;
  std::size_t queued_ = 0;
  std::vector<Clock::time_point> sent_at_;
  std::vector<std::uint32_t> latencies_us_;
  Clock::time_point looked_at_;
  Batch out_, in_;
};

int ask(std::uint16_t port, std::size_t names, std::size_t open, int seconds) {
  const auto asker = std::make_unique<Asker>(port, names, open);
  const auto start = Clock::now();
  asker->run(start + std::chrono::seconds(seconds));
  const std::chrono::duration<double> took = Clock::now() - start;
  auto& all = asker->latencies_us();
  if (all.empty()) {
    std::fprintf(stderr, "resolver_load: nobody answers on port %u\n", port);
    return 1;
  }
  std::sort(all.begin(), all.end());
  std::printf("%.0f %u %u %zu\n", static_cast<double>(all.size()) / took.count(),
              all[all.size() / 2], all[all.size() * 99 / 100], asker->lost());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string what = argc > 2 ? argv[1] : "";
  const std::uint16_t port = argc > 2 ? port_of_text(argv[2]) : 0;
  if (what == "answer" && argc == 3) return answer(port);
  if (what == "forward" && argc == 5) {
    return forward(port, port_of_text(argv[3]), argv[4][0] == '1');
  }
  if (what == "ask" && argc == 6) {
    return ask(port, std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10),
               std::atoi(argv[5]));
  }
  std::fputs("usage: resolver_load answer|forward|ask PORT ... (see its source)\n", stderr);
  return 2;
}
