// SPDX-License-Identifier: Apache-2.0
// What a client is sent: an answer as a job may have it, or a code alone. Formats: RFC 1035,
// RFC 6891 (EDNS), RFC 8914 (extended errors), RFC 9460 (SVCB and HTTPS).
//
// Pure; any thread. Nothing is allocated.
#pragma once

#include <cstdint>
#include <span>

#include "base/function_ref.h"
#include "egress/dns_answer.h"
#include "egress/resolver_question.h"

namespace cicd {

// RFC 8914, those we send.
enum class ExtendedError : std::uint16_t {
  kNone = 0xffff,
  kBlocked = 15,     // by the policy
  kFiltered = 17,    // what we pass to nobody
  kProhibited = 18,  // not to this client
  kNoReachable = 22,
};

inline constexpr std::uint16_t kOurUdpBytes = 4'096;  // largest answer that is sent over UDP

struct ReplyCode {
  std::uint8_t rcode = kRcodeOk;
  ExtendedError error = ExtendedError::kNone;
  bool is_truncated = false;
};

// A reply without records. Writes to `out` (at least 512 bytes) and returns the size.
std::size_t write_code(const DnsAsk& ask, ReplyCode code, std::span<std::uint8_t> out);
// The same for a message whose question could not be read: a header alone.
std::size_t write_header(const DnsAsk& ask, std::uint8_t rcode, std::span<std::uint8_t> out);
// "localhost": RFC 6761.
std::size_t write_localhost(const DnsAsk& ask, std::span<std::uint8_t> out);

struct ReplyAddresses {
  std::array<IpBytes, kMaxAnswerRecords> list;  // that the reply leads to, mapped
  std::size_t count = 0;
  std::size_t dropped = 0;  // addresses that `is_inside` had

  std::span<const IpBytes> all() const { return {list.data(), count}; }
};

// `answer`, all of it with `ttl_s`. Addresses for which `is_inside` says so are left out, in A and
// AAAA records and in the hints of SVCB and HTTPS records; hints about another name than the final
// one, too. 0: it does not fit into `out`. `addresses` is filled in any case.
std::size_t write_answer(const DnsAsk& ask, const DnsAnswer& answer, std::uint32_t ttl_s,
                         FunctionRef<bool(const IpBytes&)> is_inside, ReplyAddresses& addresses,
                         std::span<std::uint8_t> out);

// A question as an upstream is asked it: with this id and these letters of the name. Returns its
// size, at most kMaxUpstreamAskBytes.
inline constexpr std::size_t kMaxUpstreamAskBytes = 12 + 255 + 4 + 11;
std::size_t write_upstream_ask(const DnsAsk& ask, std::uint16_t id,
                               std::span<const std::uint8_t> name, std::span<std::uint8_t> out);

}  // namespace cicd
