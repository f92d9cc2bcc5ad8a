// SPDX-License-Identifier: Apache-2.0
#include "egress/address_table.h"

#include <algorithm>
#include <cstring>

namespace cicd {

namespace {

bool same(const cicd_egress_rules& a, const cicd_egress_rules& b) {
  return a.count == b.count &&
         std::memcmp(a.rules, b.rules, a.count * sizeof(cicd_egress_rule)) == 0;
}

// Whether all of `some` are in `all`: usually so, as names that share an address share a rule.
bool has_all(const cicd_egress_rules& all, const cicd_egress_rules& some) {
  for (std::uint32_t i = 0; i < some.count; ++i) {
    std::uint32_t at = 0;
    while (at < all.count &&
           std::memcmp(&all.rules[at], &some.rules[i], sizeof(cicd_egress_rule)) != 0) {
      ++at;
    }
    if (at == all.count) return false;
  }
  return true;
}

// Adds `more` to `rules`; false: they do not fit.
bool add_rules(const NameJudge& judge, cicd_egress_rules& rules, const cicd_egress_rules& more) {
  if (has_all(rules, more)) return true;
  const auto both = rules.count == 0 ? std::optional(more) : judge.merge(rules, more);
  if (both) rules = *both;
  return both.has_value();
}

std::unexpected<Error> too_many_rules() {
  return fail(ErrorCode::kResource, "more rules meet at one address than the kernel takes");
}

}  // namespace

void AddressTable::adopt(std::uint64_t now_ns) {
  for (auto& [ip, rules] : control_.addresses(slot_)) {
    const auto [place, is_new] = addresses_.try_emplace(ip);
    if (!is_new) continue;
    place->second.adopted = std::make_unique<cicd_egress_rules>(rules);
    place->second.adopted_end_ns = now_ns + kAdoptedNs;
    place->second.in_kernel = rules;
    queue_end(ip, place->second, place->second.adopted_end_ns);
  }
}

Result<> AddressTable::learn(const NameJudge& judge, std::string_view name,
                             std::span<const MappedIp> ips, std::uint32_t ttl_s,
                             std::uint64_t now_ns) {
  if (ips.empty()) return {};
  auto known = names_.find(name);
  if (known == names_.end()) {
    const cicd_egress_rules rules = judge.rules_of_name(name);
    if (names_.size() >= kMaxNames) {
      if (rules.count == 0) return {};
      return fail(ErrorCode::kResource, "the job has resolved too many names at once");
    }
    known = names_.try_emplace(std::string(name), Rules{rules, 0}).first;
  }
  Name& entry = *known;
  Result<> result;
  ++entry.second.claims;  // held while we work with it
  const std::uint64_t end_ns = now_ns + ttl_s * 1'000'000'000ULL + kGraceNs;
  for (const MappedIp& ip : ips) {
    result = claim(judge, entry, ip, end_ns);
    if (!result) break;
  }
  const bool opens_doors = entry.second.rules.count > 0;
  release(&entry);
  if (!opens_doors) return {};
  return result;
}

Result<> AddressTable::claim(const NameJudge& judge, Name& name, const MappedIp& ip,
                             std::uint64_t end_ns) {
  auto place = addresses_.find(ip);
  const bool is_new = place == addresses_.end();
  if (is_new) {
    if (addresses_.size() >= max_addresses_) {
      return fail(ErrorCode::kResource, "the job's names lead to too many addresses at once");
    }
    place = addresses_.try_emplace(ip).first;
  }
  Address& address = place->second;
  for (Claim& claim : address.claims) {
    if (claim.name != &name) continue;
    claim.end_ns = std::max(claim.end_ns, end_ns);
    return {};
  }
  if (address.claims.size() >= kClaimsPerAddress || claims_ >= kMaxClaims) {
    if (Claim* other = stand_in(address, name)) {
      other->end_ns = std::max(other->end_ns, end_ns);
      return {};
    }
    // Few names have rules of their own, so these may be more.
    if (address.claims.size() >= 2 * kClaimsPerAddress || claims_ >= kMaxClaims) {
      if (is_new) addresses_.erase(place);
      return fail(ErrorCode::kResource, "too many names lead to one address, or to all of them");
    }
  }
  // What is in the kernel stands for all claims there are.
  cicd_egress_rules rules = address.in_kernel;
  Result<> result = add_rules(judge, rules, name.second.rules) ? put_rules(ip, address, rules)
                                                               : Result<>(too_many_rules());
  if (!result) {
    if (is_new) addresses_.erase(place);
    return result;
  }
  address.claims.push_back({&name, end_ns});
  ++claims_;
  ++name.second.claims;
  queue_end(ip, address, end_ns);
  return {};
}

// A claim with the same rules: as long as it lives the address is as open as `name` would have it.
// After another policy it is judged by its own name, which leads there too.
AddressTable::Claim* AddressTable::stand_in(Address& address, const Name& name) {
  for (Claim& claim : address.claims) {
    if (same(claim.name->second.rules, name.second.rules)) return &claim;
  }
  return nullptr;
}

void AddressTable::queue_end(const MappedIp& ip, Address& address, std::uint64_t end_ns) {
  if (end_ns >= address.queued_ns) return;
  address.queued_ns = end_ns;
  ends_.push({end_ns, ip});
}

// What was in the kernel stays when this fails.
Result<> AddressTable::put(const NameJudge& judge, const MappedIp& ip, Address& address) {
  cicd_egress_rules rules{};
  if (address.adopted) rules = *address.adopted;
  for (const Claim& claim : address.claims) {
    if (!add_rules(judge, rules, claim.name->second.rules)) return too_many_rules();
  }
  return put_rules(ip, address, rules);
}

Result<> AddressTable::put_rules(const MappedIp& ip, Address& address,
                                 const cicd_egress_rules& rules) {
  if (same(rules, address.in_kernel)) return {};
  if (rules.count == 0) {
    close(ip, address);
    return {};
  }
  CICD_TRY(control_.put_address(slot_, ip, rules));
  address.in_kernel = rules;
  return {};
}

void AddressTable::close(const MappedIp& ip, Address& address) {
  if (address.in_kernel.count == 0) return;
  control_.remove_address(slot_, ip);
  address.in_kernel = {};
}

void AddressTable::reap(const NameJudge& judge, std::uint64_t now_ns) {
  while (!ends_.empty() && ends_.top().time_ns <= now_ns) {
    const auto [queued_ns, ip] = ends_.top();
    ends_.pop();
    const auto place = addresses_.find(ip);
    if (place == addresses_.end() || place->second.queued_ns != queued_ns) continue;
    Address& address = place->second;
    address.queued_ns = UINT64_MAX;
    drop_ended(address, now_ns);
    if (address.claims.empty() && !address.adopted) {
      close(ip, address);
      addresses_.erase(place);
      continue;
    }
    // Fewer rules always fit; a kernel that refuses them has to lose all of them.
    if (!put(judge, ip, address)) close(ip, address);
    std::uint64_t next_ns = address.adopted ? address.adopted_end_ns : UINT64_MAX;
    for (const Claim& claim : address.claims) next_ns = std::min(next_ns, claim.end_ns);
    queue_end(ip, address, next_ns);
  }
}

void AddressTable::drop_ended(Address& address, std::uint64_t now_ns) {
  if (address.adopted && address.adopted_end_ns <= now_ns) address.adopted.reset();
  std::erase_if(address.claims, [&](const Claim& claim) {
    if (claim.end_ns > now_ns) return false;
    release(claim.name);
    --claims_;
    return true;
  });
}

void AddressTable::release(Name* name) {
  if (--name->second.claims > 0) return;
  names_.erase(names_.find(std::string_view(name->first)));
}

std::size_t AddressTable::replace_policy(const NameJudge& judge, std::uint64_t now_ns) {
  std::size_t closed = 0;
  for (auto& [text, name] : names_) name.rules = judge.rules_of_name(text);
  for (auto& [ip, address] : addresses_) {
    drop_ended(address, now_ns);
    if (put(judge, ip, address)) continue;
    close(ip, address);
    ++closed;
  }
  return closed;
}

void AddressTable::clear() {
  for (auto& [ip, address] : addresses_) close(ip, address);
  addresses_.clear();
  claims_ = 0;
  names_.clear();
  ends_ = {};
}

}  // namespace cicd
