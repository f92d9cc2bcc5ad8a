// SPDX-License-Identifier: Apache-2.0
// Any bytes as a question of a client, as an answer of an upstream, and as a client's TCP stream.
// What our reader of questions accepts ldns reads the same way; what is sent for an answer is
// well-formed for two other readers, fits, and leads only where the kernel was told.
#include <ldns/ldns.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "egress/dns_answer.h"
#include "egress/resolver_question.h"
#include "egress/resolver_reply.h"
#include "egress/resolver_streams.h"
#include "names/dns_message.h"

namespace {

using namespace cicd;
using Bytes = std::span<const std::uint8_t>;

void must(bool condition) {
  if (!condition) std::abort();
}

struct Free {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, Free>;

Packet parse(Bytes bytes) {
  ldns_pkt* packet = nullptr;
  if (ldns_wire2pkt(&packet, bytes.data(), bytes.size()) != LDNS_STATUS_OK) return nullptr;
  return Packet(packet);
}

bool same_name(const ldns_rdf* name, Bytes wire) {
  return ldns_rdf_size(name) == wire.size() &&
         std::memcmp(ldns_rdf_data(name), wire.data(), wire.size()) == 0;
}

void question(Bytes bytes) {
  DnsAsk ask;
  if (read_ask(bytes, ask) != AskFault::kNone) return;
  const Packet packet = parse(bytes);
  must(packet != nullptr && !ldns_pkt_qr(packet.get()));
  must(ldns_pkt_id(packet.get()) == ask.id);
  const ldns_rr_list* questions = ldns_pkt_question(packet.get());
  must(ldns_rr_list_rr_count(questions) == 1);
  const ldns_rr* asked = ldns_rr_list_rr(questions, 0);
  must(ldns_rr_get_type(asked) == ask.type && ldns_rr_get_class(asked) == ask.record_class);
  must(same_name(ldns_rr_owner(asked), ask.wire_name()));
  must(ldns_pkt_edns(packet.get()) == ask.has_edns);
  if (ask.has_edns) {
    must(std::max<std::uint16_t>(ldns_pkt_edns_udp_size(packet.get()), 512) == ask.udp_bytes);
    must(ldns_pkt_edns_do(packet.get()) == ask.wants_dnssec);
    must(ldns_pkt_edns_version(packet.get()) == ask.edns_version);
  }
  // The name as the rest of the house writes it.
  static const auto message = std::make_unique<DnsMessage>();
  parse_dns(bytes, *message);
  must(message->question_count == 1 && message->questions()[0].name() == ask.text);

  std::array<std::uint8_t, kMaxUpstreamAskBytes> passed{};
  const std::size_t size = write_upstream_ask(ask, 4'711, ask.wire_name(), passed);
  DnsAsk again;
  must(read_ask(std::span(passed).first(size), again) == AskFault::kNone);
  must(again.text == ask.text && again.type == ask.type && again.id == 4'711);
  std::array<std::uint8_t, 512> reply{};
  must(parse(std::span(reply).first(
           write_code(ask, {kRcodeRefused, ExtendedError::kBlocked, false}, reply))) != nullptr);
  must(parse(std::span(reply).first(write_localhost(ask, reply))) != nullptr);
  must(!reverse_address(ask.text) || ask.text.ends_with(".arpa"));
}

constexpr auto is_inside = [](const IpBytes& ip) { return (ip[15] & 1) != 0; };

// The addresses of a reply that ldns finds in it.
std::set<IpBytes> addresses_of(const ldns_pkt* packet) {
  std::set<IpBytes> out;
  const ldns_rr_list* answers = ldns_pkt_answer(packet);
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
    const ldns_rr* record = ldns_rr_list_rr(answers, i);
    const auto type = ldns_rr_get_type(record);
    if (type != LDNS_RR_TYPE_A && type != LDNS_RR_TYPE_AAAA) continue;
    const ldns_rdf* data = ldns_rr_rdf(record, 0);
    IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::copy_n(ldns_rdf_data(data), ldns_rdf_size(data),
                ip.end() - static_cast<std::ptrdiff_t>(ldns_rdf_size(data)));
    out.insert(ip);
  }
  return out;
}

void check_reply(const DnsAsk& ask, const DnsAnswer& answer, std::size_t room) {
  static const auto addresses = std::make_unique<ReplyAddresses>();
  static const auto message = std::make_unique<DnsMessage>();
  std::vector<std::uint8_t> reply(room);
  const std::size_t size = write_answer(ask, answer, 5, is_inside, *addresses, reply);
  must(size <= room);
  const std::set<IpBytes> told(addresses->all().begin(), addresses->all().end());
  must(std::ranges::none_of(told, is_inside));
  if (size == 0) return;
  const Bytes sent = std::span(reply).first(size);
  const Packet packet = parse(sent);
  must(packet != nullptr);
  for (const IpBytes& ip : addresses_of(packet.get())) must(told.contains(ip));
  parse_dns(sent, *message);
  must(message->error == DnsError::kNone || message->error == DnsError::kTooMany);
  for (const DnsAddress& each : message->addresses()) {
    IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const std::size_t bytes = each.address.is_v6 ? 16 : 4;
    std::copy_n(each.address.bytes.begin(), bytes, ip.end() - static_cast<std::ptrdiff_t>(bytes));
    must(told.contains(ip));
  }
}

// The message's own question is the one that was asked.
void answer(Bytes bytes) {
  if (bytes.size() < kDnsHeaderBytes) return;
  std::size_t end = kDnsHeaderBytes;
  while (end < bytes.size() && bytes[end] != 0 && bytes[end] < 64) end += bytes[end] + 1u;
  if (end + 5 > bytes.size()) return;
  std::vector<std::uint8_t> asked(bytes.begin(),
                                  bytes.begin() + static_cast<std::ptrdiff_t>(end + 5));
  asked[2] = 1;
  std::fill(asked.begin() + 4, asked.begin() + 12, 0);
  asked[5] = 1;
  DnsAsk ask;
  if (read_ask(asked, ask) != AskFault::kNone || ask.record_class != 1) return;
  ask.has_edns = (bytes[3] & 0x40) != 0;
  ask.wants_dnssec = ask.has_edns && (bytes[3] & 0x10) != 0;
  static DnsAnswer out;
  if (read_answer(bytes, ask, out) != AnswerFault::kNone) return;
  must(out.records.size() <= kMaxAnswerRecords && out.alias_count <= kMaxAnswerAliases);
  must(out.ttl_s <= kMaxAnswerTtl_s);
  for (const DnsRecord& record : out.records) {
    must(record.owner >= DnsRecord::kOwnName && record.owner <= out.alias_count);
    must(record.offset + record.size <= out.bytes.size());
  }
  check_reply(ask, out, 512);
  check_reply(ask, out, 4'096);
  check_reply(ask, out, 65'535);
}

void stream(Bytes bytes) {
  Stream client;
  std::size_t seen = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 100) {
    const Bytes part = bytes.subspan(at, std::min<std::size_t>(100, bytes.size() - at));
    client.in.insert(client.in.end(), part.begin(), part.end());
    Streams::take_messages(client, [&](Bytes message) {
      seen += 2 + message.size();
      question(message);
    });
    must(seen + client.in.size() == at + part.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      question(rest);
      break;
    case 1:
      answer(rest);
      break;
    default:
      stream(rest);
  }
  return 0;
}
