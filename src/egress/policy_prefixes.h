// SPDX-License-Identifier: Apache-2.0
// PrefixTree: address ranges that hold each other, sorted; finds the longest one that holds an
// address and from there all shorter ones. Two CIDR ranges are nested or apart, never across each
// other, so the sorted list with a parent for each entry is all there is to it.
//
// Threads: any, once made. find() allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rule/ip_prefix.h"

namespace cicd {

bool is_mapped_ipv4(const IpBytes& ip);
// With the bits behind the prefix cleared.
IpPrefix masked(const IpPrefix& prefix);
// Whether every address of `inner` is one of `outer`, taken as 128 bits: ::/0 holds all of IPv4.
bool holds(const IpPrefix& outer, const IpPrefix& inner);

class PrefixTree {
 public:
  static constexpr std::int32_t kNone = -1;

  struct Entry {
    IpPrefix prefix;
    std::uint32_t value = 0;
  };
  struct Node {
    IpPrefix prefix;
    std::int32_t parent = kNone;  // the next shorter range that holds this one
    std::uint32_t first = 0;      // of `values`
    std::uint32_t count = 0;
  };

  // Entries of the same range keep their order.
  explicit PrefixTree(std::vector<Entry> entries = {});

  const std::vector<Node>& nodes() const { return nodes_; }  // a range before those inside it
  std::span<const std::uint32_t> values(const Node& node) const {
    return std::span(values_).subspan(node.first, node.count);
  }

  // The longest range that holds `ip`; IPv4 is in no range of IPv6 (IpPrefix::contains). Go on with
  // next() for the shorter ones.
  std::int32_t find(const IpBytes& ip) const;
  std::int32_t next(std::int32_t node, const IpBytes& ip) const;

 private:
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> values_;
};

}  // namespace cicd
