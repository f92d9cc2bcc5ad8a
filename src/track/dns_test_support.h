// SPDX-License-Identifier: Apache-2.0
// DNS packets as samples, for tests of this folder.
#pragma once

#include <arpa/inet.h>

#include <vector>

#include "support/dns_builder.h"
#include "wire/sample_builder.h"

namespace cicd {

struct DnsParts {
  bool is_answer = false;
  std::uint16_t protocol = IPPROTO_UDP;
  std::uint64_t cookie = 9;
  std::uint32_t sequence = 0;
  std::uint32_t payload_bytes = 0;  // 0: as many as there are
  std::uint16_t flags = 0;
  const char* server = "192.0.2.53";
};

// A packet of `actor`.
inline SampleBuffer dns_sample(const Actor& actor, const std::vector<std::uint8_t>& payload,
                               const DnsParts& parts = {}) {
  cicd_sample_dns fixed{};
  fixed.header.flags =
      static_cast<std::uint16_t>(parts.flags | (parts.is_answer ? CICD_DNS_INGRESS : 0));
  fixed.socket_cookie = parts.cookie;
  fixed.family = AF_INET;
  ::inet_pton(AF_INET, parts.server, fixed.remote_ip);
  fixed.remote_port = 53;
  fixed.protocol = parts.protocol;
  fixed.tcp_sequence = parts.sequence;
  fixed.payload_bytes =
      parts.payload_bytes != 0 ? parts.payload_bytes : static_cast<std::uint32_t>(payload.size());
  return make_sample(actor, CICD_SAMPLE_DNS, fixed,
                     {raw({reinterpret_cast<const char*>(payload.data()), payload.size()})});
}

}  // namespace cicd
