// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_question.h"

#include <algorithm>
#include <charconv>

namespace cicd {

namespace {

constexpr std::string_view kV4Zone = ".in-addr.arpa";
constexpr std::string_view kV6Zone = ".ip6.arpa";

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void append_label_byte(std::string& text, std::uint8_t byte) {
  if (byte == '.' || byte == '\\') {
    text.push_back('\\');
    text.push_back(static_cast<char>(byte));
  } else if (byte > 0x20 && byte < 0x7f) {
    text.push_back(static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte));
  } else {
    text.push_back('\\');
    text.push_back(static_cast<char>('0' + byte / 100));
    text.push_back(static_cast<char>('0' + byte / 10 % 10));
    text.push_back(static_cast<char>('0' + byte % 10));
  }
}

// Returns where the name ends; 0: there is none.
std::size_t read_name(std::span<const std::uint8_t> bytes, std::size_t at, DnsAsk& out) {
  out.text.clear();
  const std::size_t start = at;
  while (at < bytes.size()) {
    const std::size_t label = bytes[at++];
    if (label == 0) {
      if (at - start > out.name.size()) return 0;
      out.name_bytes = static_cast<std::uint8_t>(at - start);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(start), at - start, out.name.begin());
      if (out.text.empty()) out.text.push_back('.');
      return at;
    }
    if (label > 63 || at + label > bytes.size() || at + label - start >= out.name.size()) return 0;
    if (!out.text.empty()) out.text.push_back('.');
    for (const std::uint8_t byte : bytes.subspan(at, label)) append_label_byte(out.text, byte);
    at += label;
  }
  return 0;
}

// Options are looked at for their frame only: they are not passed on, as they could carry data.
bool read_options(std::span<const std::uint8_t> options) {
  while (!options.empty()) {
    if (options.size() < 4) return false;
    const std::size_t size = 4u + u16_at(options, 2);
    if (options.size() < size) return false;
    options = options.subspan(size);
  }
  return true;
}

bool read_opt(std::span<const std::uint8_t> bytes, DnsAsk& out) {
  if (bytes.size() < 11 || bytes[0] != 0 || u16_at(bytes, 1) != kTypeOpt) return false;
  if (bytes.size() != 11u + u16_at(bytes, 9)) return false;
  out.has_edns = true;
  out.udp_bytes = std::max<std::uint16_t>(u16_at(bytes, 3), kDnsPlainUdpBytes);
  out.edns_version = bytes[6];
  out.wants_dnssec = (bytes[7] & 0x80) != 0;
  return read_options(bytes.subspan(11));
}

std::optional<IpBytes> reverse_v4(std::string_view text) {
  IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::string_view label = text.substr(0, text.find('.'));
    unsigned value = 0;
    const auto end = std::from_chars(label.data(), label.data() + label.size(), value);
    if (label.empty() || label.size() > 3 || end.ptr != label.data() + label.size()) return {};
    if (value > 255 || (label.size() > 1 && label[0] == '0')) return {};
    ip[15 - i] = static_cast<std::uint8_t>(value);
    const bool is_last = label.size() == text.size();
    if (is_last != (i == 3)) return {};
    if (!is_last) text.remove_prefix(label.size() + 1);
  }
  return ip;
}

std::optional<IpBytes> reverse_v6(std::string_view text) {
  if (text.size() != 63) return {};
  IpBytes ip{};
  for (std::size_t i = 0; i < 32; ++i) {
    const char digit = text[2 * i];
    unsigned value = 0;
    if (std::from_chars(&digit, &digit + 1, value, 16).ptr != &digit + 1) return {};
    if (i < 31 && text[2 * i + 1] != '.') return {};
    ip[15 - i / 2] = static_cast<std::uint8_t>(ip[15 - i / 2] | value << (i % 2 == 0 ? 0 : 4));
  }
  return ip;
}

}  // namespace

AskFault read_ask(std::span<const std::uint8_t> bytes, DnsAsk& out) {
  if (bytes.size() < kDnsHeaderBytes || (bytes[2] & 0x80) != 0) return AskFault::kNoQuestion;
  out.id = u16_at(bytes, 0);
  out.wants_recursion = (bytes[2] & 0x01) != 0;
  out.wants_authentic = (bytes[3] & 0x20) != 0;
  out.is_checking_off = (bytes[3] & 0x10) != 0;
  out.has_edns = out.wants_dnssec = false;
  out.edns_version = 0;
  out.udp_bytes = kDnsPlainUdpBytes;
  out.name_bytes = 0;
  if ((bytes[2] & 0x78) != 0) return AskFault::kNotSupported;
  const std::uint16_t additional = u16_at(bytes, 10);
  if (u16_at(bytes, 4) != 1 || u16_at(bytes, 6) != 0 || u16_at(bytes, 8) != 0 || additional > 1) {
    return AskFault::kFormat;
  }
  const std::size_t end = read_name(bytes, kDnsHeaderBytes, out);
  if (end == 0 || end + 4 > bytes.size()) return AskFault::kFormat;
  out.type = u16_at(bytes, end);
  out.record_class = u16_at(bytes, end + 2);
  const auto rest = bytes.subspan(end + 4);
  const bool is_whole = additional == 1 ? read_opt(rest, out) : rest.empty();
  return is_whole ? AskFault::kNone : AskFault::kFormat;
}

std::optional<IpBytes> reverse_address(std::string_view text) {
  if (text.ends_with(kV4Zone)) return reverse_v4(text.substr(0, text.size() - kV4Zone.size()));
  if (text.ends_with(kV6Zone)) return reverse_v6(text.substr(0, text.size() - kV6Zone.size()));
  return std::nullopt;
}

bool is_localhost(std::string_view text) {
  return text == "localhost" || text.ends_with(".localhost");
}

}  // namespace cicd
