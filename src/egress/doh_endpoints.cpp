// SPDX-License-Identifier: Apache-2.0
#include "egress/doh_endpoints.h"

#include <algorithm>
#include <array>
#include <vector>

namespace cicd {

namespace {

// Sorted; a test looks after that.
constexpr std::array<std::string_view, 43> kNames = {
    "adguard-dns.com",
    "cloudflare-dns.com",
    "cloudflare-gateway.com",
    "common.dot.dns.yandex.net",
    "dns-family.adguard.com",
    "dns-unfiltered.adguard.com",
    "dns.adguard.com",
    "dns.alidns.com",
    "dns.cloudflare.com",
    "dns.controld.com",
    "dns.digitale-gesellschaft.ch",
    "dns.google",
    "dns.google.com",
    "dns.mullvad.net",
    "dns.nextdns.io",
    "dns.njal.la",
    "dns.quad9.net",
    "dns.sb",
    "dns.switch.ch",
    "dns.twnic.tw",
    "dns0.eu",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns12.quad9.net",
    "dns9.quad9.net",
    "doh.360.cn",
    "doh.applied-privacy.net",
    "doh.cleanbrowsing.org",
    "doh.dns.apple.com",
    "doh.dns.sb",
    "doh.familyshield.opendns.com",
    "doh.ffmuc.net",
    "doh.libredns.gr",
    "doh.mullvad.net",
    "doh.opendns.com",
    "doh.pub",
    "doh.sandbox.opendns.com",
    "doh.umbrella.com",
    "doh.xfinity.com",
    "freedns.controld.com",
    "odvr.nic.cz",
    "one.one.one.one",
    "wikimedia-dns.org",
};

constexpr std::array<std::string_view, 46> kAddresses = {
    // Cloudflare
    "1.1.1.0/24", "1.0.0.0/24", "104.16.248.249/32", "104.16.249.249/32", "162.159.36.1/32",
    "162.159.46.1/32", "2606:4700:4700::/48",
    // Google
    "8.8.8.0/24", "8.8.4.0/24", "2001:4860:4860::/48",
    // Quad9
    "9.9.9.0/24", "149.112.112.0/24", "2620:fe::/48",
    // OpenDNS and Umbrella
    "208.67.220.0/24", "208.67.222.0/24", "146.112.41.2/32", "146.112.41.3/32", "2620:119:35::/48",
    "2620:119:53::/48", "2620:119:fc::/48",
    // AdGuard
    "94.140.14.0/24", "94.140.15.0/24", "2a10:50c0::/48",
    // CleanBrowsing
    "185.228.168.0/24", "185.228.169.0/24", "2a0d:2a00:1::/48", "2a0d:2a00:2::/48",
    // ControlD
    "76.76.2.0/24", "76.76.10.0/24", "2606:1a40::/48", "2606:1a40:1::/48",
    // NextDNS
    "45.90.28.0/24", "45.90.30.0/24", "2a07:a8c0::/48", "2a07:a8c1::/48",
    // Mullvad
    "194.242.2.0/24", "2a07:e340::/48",
    // DNS.SB
    "185.222.222.222/32", "45.11.45.11/32",
    // AliDNS, DNSPod
    "223.5.5.5/32", "223.6.6.6/32", "2400:3200::1/128", "2400:3200:baba::1/128", "1.12.12.12/32",
    "120.53.53.53/32",
    // TWNIC
    "101.101.101.101/32"};

std::vector<IpPrefix> parse_all() {
  std::vector<IpPrefix> out;
  for (const std::string_view text : kAddresses) {
    if (const auto prefix = parse_cidr(text)) out.push_back(*prefix);
  }
  return out;
}

}  // namespace

std::span<const std::string_view> doh_names() { return kNames; }

std::span<const std::string_view> doh_address_texts() { return kAddresses; }

std::span<const IpPrefix> doh_prefixes() {
  static const std::vector<IpPrefix> kPrefixes = parse_all();
  return kPrefixes;
}

bool is_doh_address(const IpBytes& ip) {
  const auto holds_it = [&](const IpPrefix& prefix) { return prefix.contains(ip); };
  return std::ranges::any_of(doh_prefixes(), holds_it);
}

bool is_doh_name(std::string_view name) {
  while (!name.empty()) {
    if (std::ranges::binary_search(kNames, name)) return true;
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return false;
    name.remove_prefix(dot + 1);
  }
  return false;
}

}  // namespace cicd
