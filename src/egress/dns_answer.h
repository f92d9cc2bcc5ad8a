// SPDX-License-Identifier: Apache-2.0
// DnsAnswer: what an upstream's answer says to one question, and nothing else of it: the CNAMEs
// from the asked name to the final one, the final name's records of the asked type, and of the
// authority section what tells that there are none (SOA; with DNSSEC also its proofs). Everything
// else is left behind here: a client could believe it, and nobody has judged it.
//
// The message is parsed by ldns; every byte of it is hostile. What is kept is in a flat form that
// is cheap to keep in a cache and to write for a job (resolver_reply.h).
//
// Pure; any thread. Reuse a DnsAnswer: it keeps its memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "egress/resolver_question.h"

namespace cicd {

inline constexpr std::size_t kMaxAnswerAliases = 16;
inline constexpr std::size_t kMaxAnswerRecords = 256;
inline constexpr std::uint32_t kMaxAnswerTtl_s = 86'400;

struct DnsRecord {
  static constexpr std::int16_t kOwnName = -1;

  // 0: the asked name; n: the target of records[n - 1], a CNAME; kOwnName: `owner_bytes` of name
  // stand in the data before the record's.
  std::int16_t owner = 0;
  bool is_authority = false;
  std::uint8_t owner_bytes = 0;
  std::uint16_t type = 0;
  std::uint16_t size = 0;    // of its data, names in it without pointers
  std::uint32_t offset = 0;  // of its data
};

struct DnsAnswer {
  std::uint8_t rcode = 0;
  bool is_authentic = false;  // AD, as the upstream says
  std::uint8_t alias_count = 0;
  // How long all of it holds: the least TTL of what is kept; of a denial that of RFC 2308.
  std::uint32_t ttl_s = 0;
  bool has_ttl = false;            // false: nothing in it says how long; not to be cached
  std::vector<DnsRecord> records;  // the aliases first, in the order of the chain
  std::vector<std::uint8_t> bytes;

  std::span<const std::uint8_t> data(const DnsRecord& record) const {
    return std::span(bytes).subspan(record.offset, record.size);
  }
  std::span<const std::uint8_t> own_name(const DnsRecord& record) const {
    return std::span(bytes).subspan(record.offset - record.owner_bytes, record.owner_bytes);
  }
};

enum class AnswerFault : std::uint8_t {
  kNone,
  kMalformed,  // ldns cannot read it, or it is no answer to a query
  kLoop,       // CNAMEs that lead back, or more than kMaxAnswerAliases
  kTooMany,    // records
};

// `message` has been matched with the question already (its name in whatever case). A truncated
// message is not for this function.
AnswerFault read_answer(std::span<const std::uint8_t> message, const DnsAsk& ask, DnsAnswer& out);

}  // namespace cicd
