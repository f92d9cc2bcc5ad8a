// SPDX-License-Identifier: Apache-2.0
// IpIndex: which of many address ranges an address is in, by one binary search. Ranges in CIDR form
// lie within each other or apart: the innermost one at an address leads to those around it.
//
// Immutable once built; any thread. Agrees with IpPrefix::contains().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rule/ip_prefix.h"

namespace cicd {

class IpIndex {
 public:
  // Range i is reported as i.
  explicit IpIndex(std::span<const IpPrefix> prefixes);

  // Calls found(i) for each range that `ip` is in.
  template <typename Found>
  void visit(const IpBytes& ip, Found found) const {
    for (std::uint32_t at = innermost(ip); at != kNone; at = ranges_[at].around) {
      if (ranges_[at].prefix.contains(ip)) found(ranges_[at].number);
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~0u;
  struct Range {
    IpPrefix prefix;
    std::uint32_t number = 0;
    std::uint32_t around = kNone;  // the next larger one
  };
  std::uint32_t innermost(const IpBytes& ip) const;

  std::vector<Range> ranges_;
  // From starts_[i] to starts_[i + 1] the innermost range is innermost_[i].
  std::vector<IpBytes> starts_;
  std::vector<std::uint32_t> innermost_;
};

}  // namespace cicd
