// SPDX-License-Identifier: Apache-2.0
// DnsBuilder: DNS messages byte by byte, right ones and wrong ones, for tests, benchmarks and the
// name server of the kernel tests.
//
//   DnsBuilder message(7, DnsBuilder::kAnswer);
//   message.question("www.example.test", kDnsA).a("www.example.test", "192.0.2.1", 60);
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "names/dns_message.h"

namespace cicd::support {

class DnsBuilder {
 public:
  static constexpr std::uint16_t kQuery = 0x0100;
  static constexpr std::uint16_t kAnswer = 0x8180;
  static constexpr std::uint16_t kTruncated = 0x0200;

  explicit DnsBuilder(std::uint16_t id = 1, std::uint16_t flags = kQuery) {
    u16(id).u16(flags).u16(0).u16(0).u16(0).u16(0);
  }

  DnsBuilder& question(std::string_view name, std::uint16_t type) {
    ++bytes_[5];
    return labels(name).u16(type).u16(1);
  }
  DnsBuilder& a(std::string_view name, const char* ip, std::uint32_t ttl_s = 60) {
    return record(name, kDnsA, ttl_s, address(AF_INET, ip));
  }
  DnsBuilder& aaaa(std::string_view name, const char* ip, std::uint32_t ttl_s = 60) {
    return record(name, kDnsAaaa, ttl_s, address(AF_INET6, ip));
  }
  DnsBuilder& cname(std::string_view name, std::string_view target, std::uint32_t ttl_s = 60) {
    return record(name, kDnsCname, ttl_s, wire(target));
  }
  // `parameters`: as on the wire, from parameter().
  DnsBuilder& https(std::string_view name, std::string_view target,
                    const std::vector<std::uint8_t>& parameters, std::uint32_t ttl_s = 60) {
    std::vector<std::uint8_t> data = {0, 1};
    append(data, wire(target));
    append(data, parameters);
    return record(name, kDnsHttps, ttl_s, data);
  }
  DnsBuilder& record(std::string_view name, std::uint16_t type, std::uint32_t ttl_s,
                     const std::vector<std::uint8_t>& data) {
    ++bytes_[7];
    labels(name).u16(type).u16(1).u16(static_cast<std::uint16_t>(ttl_s >> 16));
    u16(static_cast<std::uint16_t>(ttl_s)).u16(static_cast<std::uint16_t>(data.size()));
    return raw(data);
  }

  // Bytes as they are: what a hostile sender would write.
  DnsBuilder& raw(const std::vector<std::uint8_t>& more) {
    append(bytes_, more);
    return *this;
  }
  DnsBuilder& u16(std::uint16_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes_.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  // A name: "@12" is a pointer to offset 12, "www.@12" labels and then a pointer.
  DnsBuilder& labels(std::string_view name) { return raw(wire(name)); }

  DnsBuilder& count_question() { return ++bytes_[5], *this; }
  DnsBuilder& count_answer() { return ++bytes_[7], *this; }

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  // With the length in front, as TCP has it.
  std::vector<std::uint8_t> framed() const {
    std::vector<std::uint8_t> out = {static_cast<std::uint8_t>(bytes_.size() >> 8),
                                     static_cast<std::uint8_t>(bytes_.size())};
    append(out, bytes_);
    return out;
  }

  static std::vector<std::uint8_t> wire(std::string_view name) {
    std::vector<std::uint8_t> out;
    while (!name.empty() && name != ".") {
      if (name[0] == '@') {
        const int offset = std::stoi(std::string(name.substr(1)));
        out.push_back(static_cast<std::uint8_t>(0xc0 | offset >> 8));
        out.push_back(static_cast<std::uint8_t>(offset));
        return out;
      }
      const std::string_view label = name.substr(0, name.find('.'));
      out.push_back(static_cast<std::uint8_t>(label.size()));
      out.insert(out.end(), label.begin(), label.end());
      name.remove_prefix(std::min(label.size() + 1, name.size()));
    }
    out.push_back(0);
    return out;
  }
  static std::vector<std::uint8_t> address(int family, const char* ip) {
    std::vector<std::uint8_t> out(family == AF_INET ? 4 : 16);
    ::inet_pton(family, ip, out.data());
    return out;
  }
  static std::vector<std::uint8_t> parameter(std::uint16_t key,
                                             const std::vector<std::uint8_t>& value) {
    std::vector<std::uint8_t> out = {
        static_cast<std::uint8_t>(key >> 8), static_cast<std::uint8_t>(key),
        static_cast<std::uint8_t>(value.size() >> 8), static_cast<std::uint8_t>(value.size())};
    append(out, value);
    return out;
  }
  static void append(std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

inline IpAddress ip(const char* text) {
  const int family =
      std::string_view(text).find(':') == std::string_view::npos ? AF_INET : AF_INET6;
  return *IpAddress::from(DnsBuilder::address(family, text));
}

}  // namespace cicd::support
