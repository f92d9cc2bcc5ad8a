// SPDX-License-Identifier: Apache-2.0
// Names of containers. In networks that users make Docker runs a resolver in each container, which
// alone knows the others by name. It sends what it does not know to the machine's name servers, so
// nothing is asked there but what the job's policy lets pass; and only names of one label, as no
// name of the Internet has one that its owner could have lead anywhere.
//
// It is in a namespace of the job, which may be the job's to rule. So an answer counts only when
// all of it leads to containers (docker_network.h); anything else is as if Docker had not answered,
// and the upstreams are asked. Nothing of it is cached: other networks have other containers.
#include <algorithm>
#include <string_view>

#include "egress/docker_network.h"
#include "egress/network_namespace.h"
#include "egress/resolver_core.h"

namespace cicd {

namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;
constexpr std::uint64_t kLookPauseNs = 1'000 * kMillisecondNs;
constexpr std::size_t kMaxPorts = 1'024;
constexpr std::size_t kMaxAsksOfJob = 32;
constexpr std::size_t kMaxContainers = 16;  // that a name leads to

bool may_be_a_container(const DnsAsk& ask) {
  return (ask.type == kTypeA || ask.type == kTypeAaaa) && ask.text.find('.') == ask.text.npos;
}

// Of a record of the answer; nullopt: no address.
std::optional<IpBytes> address_in(const DnsAnswer& answer, const DnsRecord& record) {
  IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::size_t size = record.type == kTypeA ? 4 : 16;
  const auto data = answer.data(record);
  if ((record.type != kTypeA && record.type != kTypeAaaa) || data.size() != size) {
    return std::nullopt;
  }
  std::ranges::copy(data, ip.end() - static_cast<std::ptrdiff_t>(size));
  return ip;
}

// Addresses of containers, and the bridges that they are behind.
struct Containers {
  std::array<IpBytes, kMaxContainers> ips{};
  std::array<unsigned, kMaxContainers> bridges{};
  std::size_t count = 0;
};

// False: something in the answer is not of a container. A name without addresses of this kind is
// one that Docker knows by the other kind.
bool read_containers(const DnsAnswer& answer, Containers& out) {
  if (answer.rcode != kRcodeOk) return false;
  for (const DnsRecord& record : answer.records) {
    if (record.is_authority) continue;
    const auto ip = address_in(answer, record);
    const unsigned bridge = ip && out.count < kMaxContainers ? bridge_to_container(*ip) : 0;
    if (bridge == 0) return false;
    out.ips[out.count] = *ip;
    out.bridges[out.count++] = bridge;
  }
  return true;
}

}  // namespace

ResolverCore::ClientPlace ResolverCore::place_of(const Origin& origin) {
  if (!origin.is_stream) {
    const Port& port = *ports_[origin.index];
    return {port.netns, port.fd.get()};
  }
  const Stream* stream = streams_->of(origin.index, origin.stream_number);
  return stream == nullptr ? ClientPlace{} : ClientPlace{stream->netns, stream->fd.get()};
}

std::uint16_t ResolverCore::docker_port(std::uint32_t netns, int netns_fd) {
  const auto known = docker_ports_.find(netns);
  if (known != docker_ports_.end() && now_ns_ - known->second.looked_ns < kLookPauseNs) {
    return known->second.port;
  }
  if (docker_ports_.size() >= kMaxPorts) docker_ports_.clear();
  const auto port = docker_resolver_port(
      netns_fd, [&](std::uint64_t cgroup) { return control_.is_of_a_job(cgroup); });
  docker_ports_[netns] = {.port = port.value_or(0), .looked_ns = now_ns_};
  return port.value_or(0);
}

bool ResolverCore::ask_docker(Job& job, const cicd_dns_client& client, const Origin& origin) {
  if (!may_be_a_container(ask_)) return false;
  const ClientPlace place = place_of(origin);
  if (place.socket < 0 || place.netns == own_netns_) return false;
  const auto netns_fd = netns_of_socket(place.socket);
  const std::uint16_t port = netns_fd ? docker_port(place.netns, netns_fd->get()) : 0;
  if (port == 0) return false;
  if (job.docker_asks == kMaxAsksOfJob || calls_ == kMaxCalls) {
    ++job.counters.limited;
    reply_servfail(job, ask_, origin);
    return true;
  }
  auto fd = connect_to_docker_resolver(netns_fd->get(), port);
  if (!fd) return false;
  Flight* flight = take_flight(job, client, origin);
  if (flight == nullptr) return true;
  flight->asks_docker = true;
  ++job.docker_asks;
  ++job.counters.upstream_queries;
  flights_.new_id(*flight, random_);
  flight->sent_name = flight->ask.name;
  if (!begin_call(*flight, std::move(*fd))) {
    try_next(*flight);
    return true;
  }
  flights_.wait(
      *flight, kDockerLine,
      now_ns_ + kMillisecondNs * static_cast<std::uint64_t>(options_.try_timeout.count()));
  return true;
}

// `answer_` is what it says. With the others the client's own address in their network is opened:
// what they answer is sent by processes of the job too, when they are its containers.
void ResolverCore::on_docker_answer(Job& job, Flight& flight) {
  Containers found;
  if (!read_containers(answer_, found)) {
    try_next(flight);
    return;
  }
  const auto netns_fd = netns_of_socket(place_of(flight.origin).socket);
  for (std::size_t i = 0; netns_fd && i < found.count; ++i) {
    const auto own = source_address(netns_fd->get(), found.ips[i]);
    if (!own || bridge_to_container(*own) != found.bridges[i]) continue;
    if (!job.table.learn(*job.judge, kOwnAddress, std::span(&*own, 1), answer_.ttl_s, now_ns_)) {
      ++job.counters.inserts_failed;
    }
  }
  deliver(job, flight.ask, flight.origin, flight.client, answer_, answer_.ttl_s, true);
  end_flight(flight);
}

// It knows no such container, or does not answer: the flight goes on as all others.
void ResolverCore::leave_docker(Job& job, Flight& flight) {
  flight.asks_docker = false;
  --job.docker_asks;
  const ResolverCache::Found found = cache_.find(job.group, flight.ask, now_ns_);
  if (found.answer == nullptr) {
    send_flight(job, flight);
    return;
  }
  ++job.counters.cached;
  deliver(job, flight.ask, flight.origin, flight.client, *found.answer, found.ttl_s);
  end_flight(flight);
}

}  // namespace cicd
