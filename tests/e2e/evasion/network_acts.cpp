// SPDX-License-Identifier: Apache-2.0
// Ways to reach the network; all on loopback, to the echo servers of the test.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acts.h"

namespace cicd::evasion {

namespace {

constexpr char kWord[] = "hello";
constexpr std::size_t kWordBytes = sizeof(kWord) - 1;

sockaddr_in echo_address(const Place& place) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(place.port);
  return address;
}

int connect_and_echo(int fd, const Place& place) {
  if (fd < 0) return fail("socket");
  const sockaddr_in address = echo_address(place);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail("connect");
  }
  return expect_echo(fd);
}

// Waits for the answer to a datagram that was sent.
int expect_answer(int fd) {
  const timeval patience{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char answer[16];
  return recv(fd, answer, sizeof(answer), 0) == kWordBytes ? kDone : fail("recv");
}

int tcp_connect(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_STREAM);
  return connect_and_echo(fd.get(), place);
}

int tcp_connect_mapped(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET6, SOCK_STREAM);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(place.port);
  if (!fd || inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr) != 1) {
    return cannot("IPv6");
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail("connect");
  }
  return expect_echo(fd.get());
}

int tcp_fastopen(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_STREAM);
  const sockaddr_in address = echo_address(place);
  if (sendto(fd.get(), kWord, kWordBytes, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != kWordBytes) {
    return fail("sendto MSG_FASTOPEN");
  }
  return expect_answer(fd.get());
}

int mptcp_connect(const Place& place) {
  constexpr int kMptcp = 262;
  const UniqueFd fd = make_socket(AF_INET, SOCK_STREAM, kMptcp);
  return fd ? connect_and_echo(fd.get(), place) : cannot("MPTCP");
}

int dup_socket(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_STREAM);
  if (!fd) return fail("socket");
  const UniqueFd copy(dup(fd.get()));
  return connect_and_echo(copy.get(), place);
}

int udp_connect(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_DGRAM);
  return connect_and_echo(fd.get(), place);
}

int udp_sendto(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_DGRAM);
  const sockaddr_in address = echo_address(place);
  if (sendto(fd.get(), kWord, kWordBytes, 0, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != kWordBytes) {
    return fail("sendto");
  }
  return expect_answer(fd.get());
}

// The second message of the call goes elsewhere than the first.
int udp_sendmmsg(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_DGRAM);
  sockaddr_in addresses[2] = {echo_address(place), echo_address(place)};
  addresses[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  iovec data{const_cast<char*>(kWord), kWordBytes};
  mmsghdr messages[2] = {};
  for (int i = 0; i < 2; ++i) {
    messages[i].msg_hdr.msg_name = &addresses[i];
    messages[i].msg_hdr.msg_namelen = sizeof(addresses[i]);
    messages[i].msg_hdr.msg_iov = &data;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  if (sendmmsg(fd.get(), messages, 2, 0) != 2) return fail("sendmmsg");
  return expect_answer(fd.get());
}

std::uint16_t checksum_of(const void* data, std::size_t bytes) {
  const auto* words = static_cast<const std::uint16_t*>(data);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes / 2; ++i) sum += words[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

int raw_icmp(const Place& place) {
  const UniqueFd fd = make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (!fd) return fail("socket");
  icmphdr ping{};
  ping.type = ICMP_ECHO;
  ping.un.echo.id = htons(static_cast<std::uint16_t>(getpid()));
  ping.checksum = checksum_of(&ping, sizeof(ping));
  const sockaddr_in address = echo_address(place);
  if (sendto(fd.get(), &ping, sizeof(ping), 0, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != sizeof(ping)) {
    return fail("sendto");
  }
  char answer[256];
  return recv(fd.get(), answer, sizeof(answer), 0) > 0 ? kDone : fail("recv");
}

struct [[gnu::packed]] UdpPacket {
  iphdr ip;
  udphdr udp;
  char text[kWordBytes];
};

// A whole UDP packet, from a port that an ordinary socket listens at.
UdpPacket packet_to_echo(const Place& place, std::uint16_t from_port) {
  UdpPacket packet{};
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 64;
  packet.ip.protocol = IPPROTO_UDP;
  packet.ip.tot_len = htons(sizeof(packet));
  packet.ip.saddr = packet.ip.daddr = htonl(INADDR_LOOPBACK);
  packet.udp.source = from_port;
  packet.udp.dest = htons(place.port);
  packet.udp.len = htons(sizeof(packet.udp) + kWordBytes);
  std::memcpy(packet.text, kWord, kWordBytes);
  iphdr header = packet.ip;
  packet.ip.check = checksum_of(&header, sizeof(header));
  return packet;
}

UniqueFd bound_udp_socket(std::uint16_t* port) {
  UniqueFd fd = make_socket(AF_INET, SOCK_DGRAM);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    fail("bind");
  }
  *port = address.sin_port;
  return fd;
}

int raw_packet(const Place& place) {
  std::uint16_t port = 0;
  const UniqueFd answers = bound_udp_socket(&port);
  const UniqueFd fd = make_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  const UdpPacket packet = packet_to_echo(place, port);
  const sockaddr_in address = echo_address(place);
  if (sendto(fd.get(), &packet, sizeof(packet), 0, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != sizeof(packet)) {
    return fail("sendto");
  }
  return expect_answer(answers.get());
}

// Another packet socket proves that the frame was on the wire; no ordinary one would take it there.
bool is_seen_on_wire(int fd, const UdpPacket& packet) {
  const timeval patience{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char frame[65536];
  for (int i = 0; i < 10'000; ++i) {
    const ssize_t bytes = recv(fd, frame, sizeof(frame), 0);
    if (bytes < 0) return false;
    if (bytes == sizeof(packet) && std::memcmp(frame, &packet, sizeof(packet)) == 0) return true;
  }
  return false;
}

int af_packet(const Place& place) {
  const UniqueFd watcher = make_socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
  const UniqueFd fd = make_socket(AF_PACKET, SOCK_DGRAM);
  const UdpPacket packet = packet_to_echo(place, htons(1));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IP);
  address.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
  address.sll_halen = ETH_ALEN;
  if (sendto(fd.get(), &packet, sizeof(packet), 0, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != sizeof(packet)) {
    return fail("sendto");
  }
  return is_seen_on_wire(watcher.get(), packet) ? kDone : fail("recv");
}

constexpr Act kActs[] = {
    {"tcp-connect", tcp_connect},   {"tcp-connect-mapped", tcp_connect_mapped},
    {"tcp-fastopen", tcp_fastopen}, {"mptcp-connect", mptcp_connect},
    {"dup-socket", dup_socket},     {"udp-connect", udp_connect},
    {"udp-sendto", udp_sendto},     {"udp-sendmmsg", udp_sendmmsg},
    {"raw-icmp", raw_icmp},         {"raw-packet", raw_packet},
    {"af-packet", af_packet},
};

}  // namespace

std::span<const Act> network_acts() { return kActs; }

}  // namespace cicd::evasion
