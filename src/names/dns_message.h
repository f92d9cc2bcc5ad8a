// SPDX-License-Identifier: Apache-2.0
// parse_dns(): one DNS message -> what was asked and which addresses the answer gives. Formats:
// RFC 1035 (messages, names, compression), RFC 3596 (AAAA), RFC 9460 (SVCB, HTTPS).
//
// Everything in the bytes is hostile. Names, pointers, records and addresses have limits; what was
// understood before a mistake stays valid, and `error` says what ended it. Where the RFCs are
// stricter than resolver libraries (pointers forwards) this is as lenient as they are: an answer
// must not reach the program and escape us.
//
// Names are presentation text without the last dot ("." is the root): ASCII letters in lower case,
// a dot or backslash inside a label as "\." and "\\", bytes that are no printable ASCII as "\DDD".
//
// Only addresses that belong to the question count: those of the asked name, or of a name that
// CNAME records of the same answer lead to. Other records are what no resolver library follows.
//
// Pure function, any thread; nothing is allocated. A DnsMessage is big (8 KiB): keep one and reuse
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "names/ip_address.h"

namespace cicd {

inline constexpr std::size_t kMaxDnsNameBytes = 255;   // on the wire
inline constexpr std::size_t kMaxDnsNameText = 1'024;  // every byte of it may become "\DDD"
inline constexpr std::size_t kMaxDnsQuestions = 4;     // RFC 9619: more than one is malformed
inline constexpr std::size_t kMaxDnsAddresses = 64;    // of one answer
inline constexpr std::size_t kMaxDnsChain = 16;        // CNAMEs from the question to an address
inline constexpr std::size_t kMaxDnsAnswerRecords = 512;

enum class DnsError : std::uint8_t {
  kNone,
  kNoHeader,   // shorter than a header
  kCut,        // the bytes end before the message does
  kBadName,    // pointers in a loop, label or name too long
  kBadRecord,  // data of a record does not fit its type
  kTooMany,    // more questions, records, addresses or labels than the limits
};

enum DnsType : std::uint16_t {
  kDnsA = 1,
  kDnsCname = 5,
  kDnsAaaa = 28,
  kDnsSvcb = 64,
  kDnsHttps = 65,
};

struct DnsName {
  std::uint16_t length = 0;
  std::array<char, kMaxDnsNameText> text;

  std::string_view view() const { return {text.data(), length}; }
};

struct DnsQuestion {
  std::uint16_t type = 0;
  DnsName text;

  std::string_view name() const { return text.view(); }
};

struct DnsAddress {
  IpAddress address;
  std::uint32_t ttl_s = 0;  // the least of the chain to it
  bool is_hint = false;     // of an HTTPS or SVCB record
};

struct DnsMessage {
  std::uint16_t id = 0;
  bool is_response = false;
  bool is_truncated = false;  // the TC bit: the client is to ask again over TCP
  std::uint8_t opcode = 0;    // 0: a query
  std::uint8_t rcode = 0;     // 0: no error, 3: no such name
  DnsError error = DnsError::kNone;
  std::uint8_t question_count = 0;
  std::uint8_t address_count = 0;
  std::uint8_t alias_count = 0;  // CNAMEs that were followed
  DnsName alias;                 // the last of them; meaningless when there are none
  std::array<DnsQuestion, kMaxDnsQuestions> question_list;
  std::array<DnsAddress, kMaxDnsAddresses> address_list;  // to the first question

  std::span<const DnsQuestion> questions() const { return {question_list.data(), question_count}; }
  std::span<const DnsAddress> addresses() const { return {address_list.data(), address_count}; }
};

void parse_dns(std::span<const std::uint8_t> bytes, DnsMessage& out);

// "A", "HTTPS"; "TYPE4711" (RFC 3597) for what has no name here, written into `buffer`.
std::string_view dns_type_text(std::uint16_t type, std::span<char, 12> buffer);
// "NOERROR", "NXDOMAIN"; "RCODE12" for what has no name.
std::string_view dns_rcode_text(std::uint8_t rcode, std::span<char, 12> buffer);

}  // namespace cicd
