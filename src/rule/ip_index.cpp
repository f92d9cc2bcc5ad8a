// SPDX-License-Identifier: Apache-2.0
#include "rule/ip_index.h"

#include <algorithm>
#include <tuple>

namespace cicd {

namespace {

// The first and the last address of a range.
IpBytes edge(const IpPrefix& prefix, bool is_last) {
  IpBytes out = prefix.address;
  for (int bit = prefix.bits; bit < 128; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> (bit % 8));
    std::uint8_t& byte = out[static_cast<std::size_t>(bit / 8)];
    byte = static_cast<std::uint8_t>(is_last ? byte | mask : byte & ~mask);
  }
  return out;
}

// False when there is none behind the last address.
bool step(IpBytes& ip) {
  for (std::size_t i = ip.size(); i-- > 0;) {
    if (++ip[i] != 0) return true;
  }
  return false;
}

}  // namespace

IpIndex::IpIndex(std::span<const IpPrefix> prefixes) {
  for (std::uint32_t i = 0; i < prefixes.size(); ++i) {
    ranges_.push_back({{edge(prefixes[i], false), prefixes[i].bits}, i, kNone});
  }
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
    return std::tie(a.prefix.address, a.prefix.bits) < std::tie(b.prefix.address, b.prefix.bits);
  });
  const auto start = [this](const IpBytes& at, std::uint32_t range) {
    if (!starts_.empty() && starts_.back() == at) {
      innermost_.back() = range;
    } else {
      starts_.push_back(at);
      innermost_.push_back(range);
    }
  };
  std::vector<std::uint32_t> open;  // the ranges around the current address
  const auto close_one = [&] {
    IpBytes behind = edge(ranges_[open.back()].prefix, true);
    open.pop_back();
    if (step(behind)) start(behind, open.empty() ? kNone : open.back());
  };
  for (std::uint32_t i = 0; i < ranges_.size(); ++i) {
    const IpBytes& first = ranges_[i].prefix.address;
    while (!open.empty() && edge(ranges_[open.back()].prefix, true) < first) close_one();
    if (!open.empty()) ranges_[i].around = open.back();
    start(first, i);
    open.push_back(i);
  }
  while (!open.empty()) close_one();
}

std::uint32_t IpIndex::innermost(const IpBytes& ip) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), ip);
  if (after == starts_.begin()) return kNone;
  return innermost_[static_cast<std::size_t>(after - starts_.begin()) - 1];
}

}  // namespace cicd
