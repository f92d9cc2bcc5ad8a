// SPDX-License-Identifier: Apache-2.0
#include "egress/policy_prefixes.h"

#include <algorithm>
#include <iterator>

namespace cicd {

namespace {

bool comes_before(const IpPrefix& a, const IpPrefix& b) {
  return a.address != b.address ? a.address < b.address : a.bits < b.bits;
}

}  // namespace

bool is_mapped_ipv4(const IpBytes& ip) {
  constexpr IpBytes kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(ip.begin(), ip.begin() + 12, kMapped.begin());
}

IpPrefix masked(const IpPrefix& prefix) {
  IpPrefix out = prefix;
  for (int byte = 0; byte < 16; ++byte) {
    const int kept = std::clamp(prefix.bits - byte * 8, 0, 8);
    out.address[static_cast<std::size_t>(byte)] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return out;
}

bool holds(const IpPrefix& outer, const IpPrefix& inner) {
  return outer.bits <= inner.bits &&
         masked({inner.address, outer.bits}).address == masked(outer).address;
}

PrefixTree::PrefixTree(std::vector<Entry> entries) {
  for (Entry& entry : entries) entry.prefix = masked(entry.prefix);
  std::ranges::stable_sort(
      entries, [](const Entry& a, const Entry& b) { return comes_before(a.prefix, b.prefix); });
  values_.reserve(entries.size());
  for (const Entry& entry : entries) {
    const bool is_same = !nodes_.empty() && nodes_.back().prefix.bits == entry.prefix.bits &&
                         nodes_.back().prefix.address == entry.prefix.address;
    if (!is_same) {
      std::int32_t parent = static_cast<std::int32_t>(nodes_.size()) - 1;
      while (parent != kNone &&
             !holds(nodes_[static_cast<std::size_t>(parent)].prefix, entry.prefix)) {
        parent = nodes_[static_cast<std::size_t>(parent)].parent;
      }
      nodes_.push_back({entry.prefix, parent, static_cast<std::uint32_t>(values_.size()), 0});
    }
    values_.push_back(entry.value);
    ++nodes_.back().count;
  }
}

// The last range that begins at or before `ip` is inside every range that holds `ip`, or is one.
std::int32_t PrefixTree::find(const IpBytes& ip) const {
  const auto after =
      std::ranges::upper_bound(nodes_, IpPrefix{ip, 128}, comes_before, &Node::prefix);
  auto at = static_cast<std::int32_t>(std::distance(nodes_.begin(), after)) - 1;
  while (at != kNone && !nodes_[static_cast<std::size_t>(at)].prefix.contains(ip)) {
    at = nodes_[static_cast<std::size_t>(at)].parent;
  }
  return at;
}

std::int32_t PrefixTree::next(std::int32_t node, const IpBytes& ip) const {
  do {
    node = nodes_[static_cast<std::size_t>(node)].parent;
  } while (node != kNone && !nodes_[static_cast<std::size_t>(node)].prefix.contains(ip));
  return node;
}

}  // namespace cicd
