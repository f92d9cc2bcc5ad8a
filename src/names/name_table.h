// SPDX-License-Identifier: Apache-2.0
// NameTable: which names an address was resolved from, for one job. An address a process connects
// to becomes the name that a program asked for (not the last one of a chain of CNAMEs).
//
// A claim is one name on one address, learned by one process. How long it holds:
//   - for the process that learned it: its TTL and kOwnGraceNs; programs keep addresses in pools
//     and caches of their own;
//   - for other processes of the job: its TTL and kOthersGraceNs.
// A TTL counts as at most kMaxTtlNs. getaddrinfo gives none: 0.
//
// find() prefers the claims of the asking process; only when it has none that holds, those of the
// others count. Among them the latest wins, and when they name more than one name the match is
// ambiguous and carries the others too.
//
// The table is the seam for every source of names (enum NameSource): DNS answers, getaddrinfo, a
// resolver of our own.
//
// Thread: the pipeline thread. Memory is bounded by kMaxAddresses, kClaimsPerAddress and
// kMaxNameBytes; the address learned longest ago goes first. A claim dropped while it held is
// counted. find() allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "names/ip_address.h"

namespace cicd {

enum class NameSource : std::uint8_t { kDnsAnswer, kGetaddrinfo, kResolver };
// As in the field `domain_source`.
std::string_view name_of(NameSource source);

// The process that learned or asks; (pid, start time) is unique.
struct NameUser {
  std::uint32_t pid = 0;
  std::uint64_t start_time_ns = 0;

  bool operator==(const NameUser&) const = default;
};

struct NameClaim {
  std::string_view name;  // presentation text, lower case, without the last dot
  NameSource source = NameSource::kDnsAnswer;
  NameUser user;
  std::uint64_t time_ns = 0;  // CLOCK_BOOTTIME, as samples have it
  std::uint32_t ttl_s = 0;
};

struct NameMatch {
  std::string_view name;  // valid until the table changes, like `others`
  NameSource source = NameSource::kDnsAnswer;
  std::size_t other_count = 0;
  std::array<std::string_view, 15> other_list;  // further names, the latest first

  bool is_ambiguous() const { return other_count > 0; }
  std::span<const std::string_view> others() const { return {other_list.data(), other_count}; }
};

class NameTable {
 public:
  static constexpr std::size_t kMaxAddresses = 8'192;
  static constexpr std::size_t kClaimsPerAddress = 16;
  static constexpr std::size_t kMaxNameBytes = 4 * 1024 * 1024;
  static constexpr std::uint64_t kOwnGraceNs = 3'600'000'000'000;
  static constexpr std::uint64_t kOthersGraceNs = 60'000'000'000;
  static constexpr std::uint64_t kMaxTtlNs = 86'400'000'000'000;

  void add(const IpAddress& address, const NameClaim& claim);
  std::optional<NameMatch> find(const IpAddress& address, const NameUser& user,
                                std::uint64_t now_ns) const;

  std::size_t size() const { return by_address_.size(); }
  // Claims that were dropped while they held, because there was no room.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct AddressHash {
    std::size_t operator()(const IpAddress& address) const {
      return std::hash<std::string_view>()(
          {reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()});
    }
  };
  using Names = std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>>;
  using Name = Names::value_type;  // text -> claims that use it; elements do not move

  struct Held {
    Name* name = nullptr;
    NameUser user;
    std::uint64_t time_ns = 0;
    std::uint64_t ttl_ns = 0;
    NameSource source = NameSource::kDnsAnswer;

    bool holds(const NameUser& asking, std::uint64_t now_ns) const {
      return now_ns < time_ns + ttl_ns + (asking == user ? kOwnGraceNs : kOthersGraceNs);
    }
  };
  struct Address {
    std::array<Held, kClaimsPerAddress> claims;
    std::size_t count = 0;
    std::list<IpAddress>::iterator age;
  };

  Address& address_of(const IpAddress& address);
  static Held* same_claim(Address& entry, const NameClaim& claim);
  static void refresh(Held& held, const NameClaim& claim);
  Held& new_claim(Address& entry, std::uint64_t now_ns);
  void drop_oldest(std::uint64_t now_ns);
  Name* take_name(std::string_view name);
  void release(Held& held, std::uint64_t now_ns);

  Names names_;
  std::unordered_map<IpAddress, Address, AddressHash> by_address_;
  std::list<IpAddress> ages_;  // the one learned longest ago first
  std::size_t name_bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace cicd
