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
  if (is_mapped(key.ip)) {
    std::copy_n(key.ip + 12, 4, sample.remote_ip);
    sample.family = AF_INET;
  } else {
    std::copy_n(key.ip, sizeof(key.ip), sample.remote_ip);
    sample.family = AF_INET6;
  }
  sample.remote_port = key.port;
  sample.protocol = key.proto;
  sample.reason = key.reason;
  sample.scopes = denied.scopes;
  sample.is_audit = denied.is_audit;
  sample.step = denied.step;
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

}  // namespace cicd
