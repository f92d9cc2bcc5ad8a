// SPDX-License-Identifier: Apache-2.0
#include "egress/dns_answer.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <memory>

namespace cicd {

namespace {

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, FreePacket>;

bool is_of(const ldns_rr* record, const ldns_rdf* owner, std::uint16_t type) {
  return ldns_rr_get_type(record) == type && ldns_rr_get_class(record) == LDNS_RR_CLASS_IN &&
         ldns_dname_compare(ldns_rr_owner(record), owner) == 0;
}

// The type that an RRSIG signs; 0: it is none.
std::uint16_t signed_type(const ldns_rr* record) {
  if (ldns_rr_get_type(record) != LDNS_RR_TYPE_RRSIG || ldns_rr_rd_count(record) == 0) return 0;
  const ldns_rdf* covered = ldns_rr_rdf(record, 0);
  return ldns_rdf_size(covered) == 2 ? ldns_read_uint16(ldns_rdf_data(covered)) : 0;
}

class Reader {
 public:
  Reader(const ldns_pkt* packet, const DnsAsk& ask, DnsAnswer& out)
      : packet_(packet), ask_(ask), out_(out) {}

  AnswerFault read() {
    if (const AnswerFault fault = follow_aliases(); fault != AnswerFault::kNone) return fault;
    if (const AnswerFault fault = keep_final(); fault != AnswerFault::kNone) return fault;
    return has_final_ ? AnswerFault::kNone : keep_denial();
  }

 private:
  // Which alias leads on is asked of the whole section each time: their order is the sender's.
  AnswerFault follow_aliases() {
    const ldns_rr_list* answers = ldns_pkt_answer(packet_);
    final_ = ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(packet_), 0));
    if (ask_.type == kTypeCname) return AnswerFault::kNone;
    const std::size_t count = ldns_rr_list_rr_count(answers);
    for (std::size_t i = 0; i < count;) {
      const ldns_rr* record = ldns_rr_list_rr(answers, i++);
      if (!is_of(record, final_, LDNS_RR_TYPE_CNAME) || ldns_rr_rd_count(record) != 1) continue;
      if (out_.alias_count == kMaxAnswerAliases) return AnswerFault::kLoop;
      if (!keep(record, out_.alias_count, false)) return AnswerFault::kTooMany;
      ++out_.alias_count;
      final_ = ldns_rr_rdf(record, 0);
      i = 0;
    }
    return AnswerFault::kNone;
  }

  AnswerFault keep_final() {
    const ldns_rr_list* answers = ldns_pkt_answer(packet_);
    const std::size_t count = ldns_rr_list_rr_count(answers);
    for (std::size_t i = 0; i < count; ++i) {
      const ldns_rr* record = ldns_rr_list_rr(answers, i);
      const bool is_final = is_of(record, final_, ask_.type);
      if (!is_final && !(ask_.wants_dnssec && is_of(record, final_, kTypeRrsig) &&
                         signed_type(record) == ask_.type)) {
        continue;
      }
      if (!keep(record, out_.alias_count, false)) return AnswerFault::kTooMany;
      has_final_ = has_final_ || is_final;
    }
    return AnswerFault::kNone;
  }

  AnswerFault keep_denial() {
    const ldns_rr_list* authority = ldns_pkt_authority(packet_);
    const std::size_t count = ldns_rr_list_rr_count(authority);
    bool has_soa = false;
    for (std::size_t i = 0; i < count; ++i) {
      const ldns_rr* record = ldns_rr_list_rr(authority, i);
      if (ldns_rr_get_class(record) != LDNS_RR_CLASS_IN || !is_denial(record, has_soa)) continue;
      if (!keep(record, DnsRecord::kOwnName, true)) return AnswerFault::kTooMany;
      if (ldns_rr_get_type(record) != LDNS_RR_TYPE_SOA) continue;
      has_soa = true;
      const ldns_rdf* minimum = ldns_rr_rdf(record, ldns_rr_rd_count(record) - 1);
      if (ldns_rdf_size(minimum) == 4) holds_for(ldns_read_uint32(ldns_rdf_data(minimum)));
    }
    out_.has_ttl = out_.has_ttl && has_soa;
    return AnswerFault::kNone;
  }

  // The SOA of a zone that the final name is in, once; proofs only for those who can check them.
  bool is_denial(const ldns_rr* record, bool has_soa) const {
    const auto type = static_cast<std::uint16_t>(ldns_rr_get_type(record));
    if (type == LDNS_RR_TYPE_SOA) {
      return !has_soa && ldns_rr_rd_count(record) == 7 &&
             (ldns_dname_compare(ldns_rr_owner(record), final_) == 0 ||
              ldns_dname_is_subdomain(final_, ldns_rr_owner(record)) != 0);
    }
    return ask_.wants_dnssec && (type == kTypeNsec || type == kTypeNsec3 || type == kTypeRrsig);
  }

  bool keep(const ldns_rr* record, int owner, bool is_authority) {
    if (out_.records.size() == kMaxAnswerRecords) return false;
    DnsRecord kept{.owner = static_cast<std::int16_t>(owner), .is_authority = is_authority};
    kept.type = static_cast<std::uint16_t>(ldns_rr_get_type(record));
    if (owner == DnsRecord::kOwnName) {
      kept.owner_bytes = static_cast<std::uint8_t>(append(ldns_rr_owner(record)));
    }
    kept.offset = static_cast<std::uint32_t>(out_.bytes.size());
    for (std::size_t i = 0; i < ldns_rr_rd_count(record); ++i) append(ldns_rr_rdf(record, i));
    const std::size_t size = out_.bytes.size() - kept.offset;
    if (out_.bytes.size() > UINT16_MAX) return false;
    kept.size = static_cast<std::uint16_t>(size);
    out_.records.push_back(kept);
    holds_for(ldns_rr_ttl(record));
    return true;
  }

  std::size_t append(const ldns_rdf* part) {
    const std::uint8_t* data = ldns_rdf_data(part);
    out_.bytes.insert(out_.bytes.end(), data, data + ldns_rdf_size(part));
    return ldns_rdf_size(part);
  }

  // RFC 2181: a TTL with its first bit set is none.
  void holds_for(std::uint32_t ttl_s) {
    if (ttl_s > INT32_MAX) ttl_s = 0;
    ttl_s = std::min(ttl_s, kMaxAnswerTtl_s);
    out_.ttl_s = out_.has_ttl ? std::min(out_.ttl_s, ttl_s) : ttl_s;
    out_.has_ttl = true;
  }

  const ldns_pkt* packet_;
  const DnsAsk& ask_;
  DnsAnswer& out_;
  const ldns_rdf* final_ = nullptr;
  bool has_final_ = false;
};

}  // namespace

AnswerFault read_answer(std::span<const std::uint8_t> message, const DnsAsk& ask, DnsAnswer& out) {
  out.records.clear();
  out.bytes.clear();
  out.rcode = kRcodeServfail;
  out.is_authentic = out.has_ttl = false;
  out.alias_count = 0;
  out.ttl_s = 0;
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, message.data(), message.size()) != LDNS_STATUS_OK) {
    return AnswerFault::kMalformed;
  }
  const Packet packet(parsed);
  const bool is_answer = ldns_pkt_qr(parsed) && ldns_pkt_get_opcode(parsed) == LDNS_PACKET_QUERY &&
                         ldns_rr_list_rr_count(ldns_pkt_question(parsed)) == 1;
  if (!is_answer) return AnswerFault::kMalformed;
  // An extended code is about the EDNS between us and the upstream.
  if (ldns_pkt_edns(parsed) && ldns_pkt_edns_extended_rcode(parsed) != 0) {
    return AnswerFault::kMalformed;
  }
  out.rcode = static_cast<std::uint8_t>(ldns_pkt_get_rcode(parsed));
  out.is_authentic = ldns_pkt_ad(parsed);
  if (out.rcode != kRcodeOk && out.rcode != kRcodeNxdomain) return AnswerFault::kNone;
  return Reader(parsed, ask, out).read();
}

}  // namespace cicd
