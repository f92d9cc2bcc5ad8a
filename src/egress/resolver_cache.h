// SPDX-License-Identifier: Apache-2.0
// ResolverCache: answers of upstreams, as long as they hold. What was used longest ago goes first
// when there is no room. It knows nothing of jobs: verdicts and addresses are made of what it
// gives, for each job again.
//
// Threads: one at a time. find() allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "egress/dns_answer.h"

namespace cicd {

class ResolverCache {
 public:
  static constexpr std::uint32_t kMaxTtl_s = 3'600;
  static constexpr std::uint32_t kMaxDenialTtl_s = 300;

  explicit ResolverCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  struct Found {
    const DnsAnswer* answer = nullptr;  // null: nothing. Valid until the cache changes
    std::uint32_t ttl_s = 0;            // that is left, at least 1
  };
  // `group`: which upstreams were asked.
  Found find(std::uint32_t group, const DnsAsk& ask, std::uint64_t now_ns);
  // Only answers that hold at least a second.
  void store(std::uint32_t group, const DnsAsk& ask, const DnsAnswer& answer, std::uint64_t now_ns);

  std::size_t size() const { return by_key_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    DnsAnswer answer;
    std::uint64_t end_ns = 0;
    std::size_t bytes = 0;
  };
  using Entries = std::list<Entry>;

  std::string_view key_of(std::uint32_t group, const DnsAsk& ask);
  void drop(Entries::iterator entry);

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::array<char, 4 + 3 + 255> key_{};
  Entries entries_;                                                 // the one used last first
  std::unordered_map<std::string_view, Entries::iterator> by_key_;  // views of Entry::key
};

}  // namespace cicd
