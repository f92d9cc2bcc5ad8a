// SPDX-License-Identifier: Apache-2.0
// AddressTable: the addresses that names of one job lead to, and with them the job's addresses in
// the kernel (EgressControl). An address holds the rules of all names that lead to it now, in one
// list; a name's claim on it ends with the answer's TTL and kGraceNs, as programs keep addresses
// longer than they should. An address without claims leaves the kernel.
//
// The table of an earlier process: what the kernel has already is adopted and stays as it is for
// kAdoptedNs. Until then names claim it again; their rules come to the adopted ones.
//
// Of many names with the same rules at one address some stand for the others.
// Names without rules (the default decides) are kept as far as there is room, for a policy that
// comes later. Bounded: what does not fit is an error, never the end of another claim. After an
// error the addresses before it have been taken.
//
// Threads: one at a time (the resolver's). Times: any clock that only goes forward. learn() of
// what is known already makes no system call and allocates nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "egress/name_judge.h"
#include "kernel/egress_control.h"

namespace cicd {

class AddressTable {
 public:
  static constexpr std::uint64_t kGraceNs = 30'000'000'000;
  static constexpr std::uint64_t kAdoptedNs = 300'000'000'000;
  static constexpr std::size_t kMaxAddresses = 16'384;
  static constexpr std::size_t kMaxNames = 16'384;
  static constexpr std::size_t kMaxClaims = 65'536;
  static constexpr std::size_t kClaimsPerAddress = 64;

  AddressTable(EgressControl& control, std::uint32_t slot,
               std::size_t max_addresses = kMaxAddresses)
      : control_(control), slot_(slot), max_addresses_(max_addresses) {}

  void adopt(std::uint64_t now_ns);
  // `name` leads to these for `ttl_s`. kResource: no room here, in the kernel, or in an address's
  // list of rules.
  Result<> learn(const NameJudge& judge, std::string_view name, std::span<const MappedIp> ips,
                 std::uint32_t ttl_s, std::uint64_t now_ns);
  // Ends what has run out.
  void reap(const NameJudge& judge, std::uint64_t now_ns);
  // The policy is another one: every name is judged again. Returns how many addresses are not as
  // they should be (no room); those are closed.
  std::size_t replace_policy(const NameJudge& judge, std::uint64_t now_ns);
  // Takes all of them out of the kernel.
  void clear();

  bool knows(const MappedIp& ip) const { return addresses_.contains(ip); }
  std::size_t size() const { return addresses_.size(); }
  // When reap() has something to do; UINT64_MAX: never.
  std::uint64_t next_end_ns() const { return ends_.empty() ? UINT64_MAX : ends_.top().time_ns; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct IpHash {
    std::size_t operator()(const MappedIp& ip) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(ip.data()), ip.size()});
    }
  };
  struct Rules {
    cicd_egress_rules rules{};
    std::uint32_t claims = 0;
  };
  using Names = std::unordered_map<std::string, Rules, TextHash, std::equal_to<>>;
  using Name = Names::value_type;  // elements do not move
  struct Claim {
    Name* name = nullptr;
    std::uint64_t end_ns = 0;
  };
  struct Address {
    std::vector<Claim> claims;
    std::unique_ptr<cicd_egress_rules> adopted;
    std::uint64_t adopted_end_ns = 0;
    cicd_egress_rules in_kernel{};         // count 0: it is not there
    std::uint64_t queued_ns = UINT64_MAX;  // the one of `ends_` that counts
  };
  struct End {
    std::uint64_t time_ns;
    MappedIp ip;
    bool operator>(const End& other) const { return time_ns > other.time_ns; }
  };

  Result<> claim(const NameJudge& judge, Name& name, const MappedIp& ip, std::uint64_t end_ns);
  Result<> put(const NameJudge& judge, const MappedIp& ip, Address& address);
  Result<> put_rules(const MappedIp& ip, Address& address, const cicd_egress_rules& rules);
  static Claim* stand_in(Address& address, const Name& name);
  void drop_ended(Address& address, std::uint64_t now_ns);
  void release(Name* name);
  void close(const MappedIp& ip, Address& address);
  void queue_end(const MappedIp& ip, Address& address, std::uint64_t end_ns);

  EgressControl& control_;
  const std::uint32_t slot_;
  const std::size_t max_addresses_;
  std::size_t claims_ = 0;
  Names names_;
  std::unordered_map<MappedIp, Address, IpHash> addresses_;
  // When to look at an address, at or before the end of its first claim: it is queued again when
  // it is not over yet, so that a claim that goes on costs nothing.
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
};

}  // namespace cicd
