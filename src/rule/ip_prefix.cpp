// SPDX-License-Identifier: Apache-2.0
#include "rule/ip_prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cicd {

namespace {

constexpr int kMappedBits = 96;
constexpr IpBytes kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

}  // namespace

std::optional<IpBytes> parse_ip(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof(buffer)) return std::nullopt;
  if (std::memchr(text.data(), '\0', text.size()) != nullptr) return std::nullopt;
  std::copy(text.begin(), text.end(), buffer);
  buffer[text.size()] = '\0';
  IpBytes out{};
  if (::inet_pton(AF_INET6, buffer, out.data()) == 1) return out;
  if (::inet_pton(AF_INET, buffer, out.data() + 12) != 1) return std::nullopt;
  out[10] = out[11] = 0xff;
  return out;
}

bool IpPrefix::contains(const IpBytes& ip) const {
  if (bits < kMappedBits && std::equal(ip.begin(), ip.begin() + 12, kMapped.begin())) return false;
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) {
    return false;
  }
  const int rest = bits % 8;
  return rest == 0 || ((ip[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

std::optional<IpPrefix> parse_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_ip(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  int bits = 0;
  const auto [stop, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool plain = !digits.empty() && stop == digits.data() + digits.size() && digits[0] != '-' &&
                     (digits.size() == 1 || digits[0] != '0');
  if (!address || failure != std::errc() || !plain) return std::nullopt;
  const bool is_v4 = text.substr(0, slash).find(':') == std::string_view::npos;
  if (bits > (is_v4 ? 32 : 128)) return std::nullopt;
  return IpPrefix{*address, is_v4 ? bits + kMappedBits : bits};
}

}  // namespace cicd
