// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_cache.h"

#include <algorithm>
#include <cstring>

namespace cicd {

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::size_t kEntryBytes = 256;  // what a list, a map and an allocator want besides

}  // namespace

// Letters of either case are the same name. What changes an answer is part of the key.
std::string_view ResolverCache::key_of(std::uint32_t group, const DnsAsk& ask) {
  std::size_t at = 0;
  std::memcpy(key_.data(), &group, sizeof(group));
  at += sizeof(group);
  key_[at++] = static_cast<char>(ask.type >> 8);
  key_[at++] = static_cast<char>(ask.type & 0xff);
  key_[at++] = static_cast<char>((ask.wants_dnssec ? 1 : 0) | (ask.is_checking_off ? 2 : 0) |
                                 (ask.wants_authentic ? 4 : 0));
  for (const std::uint8_t byte : ask.wire_name()) {
    key_[at++] = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
  }
  return {key_.data(), at};
}

ResolverCache::Found ResolverCache::find(std::uint32_t group, const DnsAsk& ask,
                                         std::uint64_t now_ns) {
  const auto place = by_key_.find(key_of(group, ask));
  if (place == by_key_.end()) return {};
  const auto entry = place->second;
  if (entry->end_ns < now_ns + kSecondNs) {
    drop(entry);
    return {};
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return {&entry->answer, static_cast<std::uint32_t>((entry->end_ns - now_ns) / kSecondNs)};
}

void ResolverCache::store(std::uint32_t group, const DnsAsk& ask, const DnsAnswer& answer,
                          std::uint64_t now_ns) {
  const bool is_denial = answer.rcode != kRcodeOk || answer.records.size() == answer.alias_count;
  const std::uint32_t ttl_s = std::min(answer.ttl_s, is_denial ? kMaxDenialTtl_s : kMaxTtl_s);
  const std::string_view key = key_of(group, ask);
  const std::size_t bytes =
      kEntryBytes + key.size() + answer.bytes.size() + answer.records.size() * sizeof(DnsRecord);
  if (!answer.has_ttl || ttl_s == 0 || bytes > max_bytes_ / 16) return;
  if (const auto old = by_key_.find(key); old != by_key_.end()) drop(old->second);
  while (bytes_ + bytes > max_bytes_) drop(std::prev(entries_.end()));
  entries_.push_front({std::string(key), answer, now_ns + ttl_s * kSecondNs, bytes});
  by_key_.emplace(entries_.front().key, entries_.begin());
  bytes_ += bytes;
}

void ResolverCache::drop(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace cicd
