// SPDX-License-Identifier: Apache-2.0
#include "kernel/egress_samples.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace cicd {

namespace {

bool is_mapped(const __u8* ip) {
  static constexpr __u8 kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(ip, kPrefix, sizeof(kPrefix)) == 0;
}

void put_ip(const __u8* ip, cicd_sample_egress& sample) {
  if (is_mapped(ip)) {
    std::copy_n(ip + 12, 4, sample.remote_ip);
    sample.family = AF_INET;
  } else {
    std::copy_n(ip, sizeof(sample.remote_ip), sample.remote_ip);
    sample.family = AF_INET6;
  }
}

cicd_sample_egress sample_of(const cicd_denied_key& key, const cicd_denied& denied,
                             std::uint64_t boot_time_ns) {
  cicd_sample_egress sample{};
  cicd_sample_header& header = sample.header;
  header.size = sizeof(sample);
  header.type = CICD_SAMPLE_EGRESS;
  header.flags = key.pid == 0 ? CICD_EGRESS_UNKNOWN_OWNER : 0;
  header.time_ns = boot_time_ns;
  header.start_time_ns = denied.start_time_ns;
  header.cgroup_id = denied.cgroup_id;
  header.slot = key.slot;
  header.pid = header.tid = key.pid;
  header.exec_id = key.exec_id;
  sample.count = denied.pending;
  sample.bytes = denied.pending_bytes;
  put_ip(key.ip, sample);
  sample.remote_port = key.port;
  sample.protocol = key.proto;
  sample.reason = key.reason & ~CICD_DENIED_PACKETS;
  sample.scopes = denied.scopes;
  sample.is_audit = denied.is_audit;
  sample.step = denied.step;
  sample.hook = (key.reason & CICD_DENIED_PACKETS) != 0 ? CICD_EGRESS_PACKET : CICD_EGRESS_CONNECT;
  return sample;
}

}  // namespace

std::vector<cicd_sample_egress> take_untold(EgressControl& control, std::uint32_t slot,
                                            std::uint64_t boot_time_ns) {
  std::vector<cicd_sample_egress> out;
  for (const auto& [key, denied] : control.take_denied(slot)) {
    if (denied.pending != 0) out.push_back(sample_of(key, denied, boot_time_ns));
  }
  return out;
}

std::vector<std::byte> sample_of(const InsideAnswer& answer, std::uint64_t boot_time_ns) {
  cicd_sample_egress sample{};
  const std::string_view name = answer.name.substr(0, UINT8_MAX);
  cicd_sample_header& header = sample.header;
  header.size = static_cast<__u32>(sizeof(sample) + name.size());
  header.type = CICD_SAMPLE_EGRESS;
  header.flags = answer.client.pid == 0 ? CICD_EGRESS_UNKNOWN_OWNER : 0;
  header.time_ns = boot_time_ns;
  header.start_time_ns = answer.client.start_time_ns;
  header.cgroup_id = answer.client.cgroup_id;
  header.slot = answer.client.slot;
  header.pid = header.tid = answer.client.pid;
  header.exec_id = answer.client.exec_id;
  sample.count = 1;
  put_ip(answer.ip.data(), sample);
  sample.reason = CICD_REASON_REBINDING;
  sample.scopes = answer.scopes;
  sample.is_audit = answer.is_audit ? 1 : 0;
  sample.step = static_cast<__u8>(answer.client.step);
  sample.hook = CICD_EGRESS_RESOLVER;
  sample.name_bytes = static_cast<__u8>(name.size());
  std::vector<std::byte> out(header.size);
  std::memcpy(out.data(), &sample, sizeof(sample));
  std::memcpy(out.data() + sizeof(sample), name.data(), name.size());
  return out;
}

}  // namespace cicd
