// SPDX-License-Identifier: Apache-2.0
// DnsAsk: one question as a client sent it (RFC 1035, EDNS RFC 6891). Read by hand, because it is
// on the way of every question and is little: a header, one name without pointers, an OPT record.
// tests/fuzz/dns_answer_fuzz.cpp holds it to what ldns says of the same bytes. Stricter than ldns:
// whatever else the message has makes it one that is not answered.
//
// Pure; any thread. Reuse a DnsAsk: its text keeps the memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rule/ip_prefix.h"

namespace cicd {

inline constexpr std::size_t kDnsHeaderBytes = 12;
inline constexpr std::size_t kDnsPlainUdpBytes = 512;  // what fits without EDNS

// RFC 1035, RFC 2136, RFC 6891.
enum DnsRcode : std::uint8_t {
  kRcodeOk = 0,
  kRcodeFormat = 1,
  kRcodeServfail = 2,
  kRcodeNxdomain = 3,
  kRcodeNotImplemented = 4,
  kRcodeRefused = 5,
};

enum DnsWireType : std::uint16_t {
  kTypeA = 1,
  kTypeCname = 5,
  kTypeSoa = 6,
  kTypePtr = 12,
  kTypeAaaa = 28,
  kTypeOpt = 41,
  kTypeRrsig = 46,
  kTypeNsec = 47,
  kTypeNsec3 = 50,
  kTypeSvcb = 64,
  kTypeHttps = 65,
  kTypeFirstMeta = 249,  // TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY: no types of records
  kTypeLastMeta = 255,
};

enum class AskFault : std::uint8_t {
  kNone,
  kNoQuestion,    // shorter than a header, or an answer: nobody waits for one to it
  kFormat,        // not one question, cut, a pointer in its name, more behind it
  kNotSupported,  // not a query
};

struct DnsAsk {
  std::uint16_t id = 0;
  bool wants_recursion = false;  // RD
  bool is_checking_off = false;  // CD
  bool wants_authentic = false;  // AD
  std::uint16_t type = 0;
  std::uint16_t record_class = 0;
  bool has_edns = false;
  bool wants_dnssec = false;  // DO
  std::uint8_t edns_version = 0;
  std::uint16_t udp_bytes = kDnsPlainUdpBytes;  // that the client takes; at least 512
  std::uint8_t name_bytes = 0;                  // 1 to 255
  std::array<std::uint8_t, 255> name;           // on the wire, letters as they came
  std::string text;  // lower case, no last dot; as names/dns_message.h has it

  std::span<const std::uint8_t> wire_name() const { return {name.data(), name_bytes}; }
};

// After a fault other than kNoQuestion only `id` and the header's flags are right.
AskFault read_ask(std::span<const std::uint8_t> bytes, DnsAsk& out);

// The address of "4.3.2.1.in-addr.arpa" and the like; nullopt: no whole address.
std::optional<IpBytes> reverse_address(std::string_view text);
// "localhost", and names below it (RFC 6761).
bool is_localhost(std::string_view text);

}  // namespace cicd
