// SPDX-License-Identifier: Apache-2.0
#include "names/name_table.h"

#include <algorithm>

namespace cicd {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// "api" was asked of getaddrinfo, "api.corp.example" of the server: the library tried a suffix of
// its search list, and both are the same name.
bool is_with_suffix(std::string_view full, std::string_view name) {
  return full.size() > name.size() && full.starts_with(name) && full[name.size()] == '.';
}

std::uint64_t ttl_ns_of(const NameClaim& claim) {
  return std::min(claim.ttl_s * kNsPerSecond, NameTable::kMaxTtlNs);
}

}  // namespace

std::string_view name_of(NameSource source) {
  switch (source) {
    case NameSource::kDnsAnswer:
      return "dns_answer";
    case NameSource::kGetaddrinfo:
      return "getaddrinfo";
    case NameSource::kResolver:
      return "resolver";
  }
  return "none";
}

void NameTable::add(const IpAddress& address, const NameClaim& claim) {
  if (claim.name.empty()) return;
  Address& entry = address_of(address);
  ages_.splice(ages_.end(), ages_, entry.age);
  if (Held* held = same_claim(entry, claim)) {
    refresh(*held, claim);
    return;
  }
  Held& held = new_claim(entry, claim.time_ns);
  held.name = take_name(claim.name);
  held.user = claim.user;
  held.time_ns = claim.time_ns;
  held.ttl_ns = ttl_ns_of(claim);
  held.source = claim.source;
  // The address in work is the last one of all.
  while ((name_bytes_ > kMaxNameBytes || by_address_.size() > kMaxAddresses) && ages_.size() > 1) {
    drop_oldest(claim.time_ns);
  }
}

NameTable::Address& NameTable::address_of(const IpAddress& address) {
  const auto [found, is_new] = by_address_.try_emplace(address);
  if (is_new) found->second.age = ages_.insert(ages_.end(), address);
  return found->second;
}

NameTable::Held* NameTable::same_claim(Address& entry, const NameClaim& claim) {
  for (std::size_t i = 0; i < entry.count; ++i) {
    Held& held = entry.claims[i];
    if (held.user != claim.user) continue;
    const std::string_view name = held.name->first;
    if (name == claim.name) return &held;
    if (claim.source == NameSource::kGetaddrinfo && is_with_suffix(name, claim.name)) return &held;
  }
  return nullptr;
}

void NameTable::refresh(Held& held, const NameClaim& claim) {
  const std::uint64_t ttl_ns = ttl_ns_of(claim);
  const std::uint64_t end_ns = std::max(held.time_ns + held.ttl_ns, claim.time_ns + ttl_ns);
  held.time_ns = std::max(held.time_ns, claim.time_ns);
  held.ttl_ns = end_ns - held.time_ns;
  held.source = std::max(held.source, claim.source);
}

// Room for another claim on the address: unused, or that of the oldest one.
NameTable::Held& NameTable::new_claim(Address& entry, std::uint64_t now_ns) {
  if (entry.count < kClaimsPerAddress) return entry.claims[entry.count++];
  Held& oldest = *std::ranges::min_element(entry.claims, {}, &Held::time_ns);
  release(oldest, now_ns);
  return oldest;
}

void NameTable::drop_oldest(std::uint64_t now_ns) {
  const auto found = by_address_.find(ages_.front());
  for (std::size_t i = 0; i < found->second.count; ++i) release(found->second.claims[i], now_ns);
  by_address_.erase(found);
  ages_.pop_front();
}

NameTable::Name* NameTable::take_name(std::string_view name) {
  auto found = names_.find(name);
  if (found == names_.end()) {
    found = names_.emplace(std::string(name), 0).first;
    name_bytes_ += name.size();
  }
  ++found->second;
  return &*found;
}

void NameTable::release(Held& held, std::uint64_t now_ns) {
  if (held.holds({}, now_ns)) ++dropped_;
  if (--held.name->second == 0) {
    name_bytes_ -= held.name->first.size();
    names_.erase(names_.find(held.name->first));
  }
  held = {};
}

std::optional<NameMatch> NameTable::find(const IpAddress& address, const NameUser& user,
                                         std::uint64_t now_ns) const {
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return std::nullopt;
  // Those that count, the latest first.
  std::array<const Held*, kClaimsPerAddress> live{};
  std::size_t count = 0;
  for (const bool own : {true, false}) {
    for (std::size_t i = 0; i < found->second.count; ++i) {
      const Held& held = found->second.claims[i];
      if ((held.user == user) == own && held.holds(user, now_ns)) live[count++] = &held;
    }
    if (count > 0) break;
  }
  if (count == 0) return std::nullopt;
  std::ranges::sort(live.begin(), live.begin() + static_cast<std::ptrdiff_t>(count),
                    [](const Held* a, const Held* b) { return a->time_ns > b->time_ns; });
  NameMatch match;
  match.name = live[0]->name->first;
  match.source = live[0]->source;
  for (std::size_t i = 1; i < count; ++i) {
    const std::string_view name = live[i]->name->first;
    const bool is_known =
        name == match.name || std::ranges::find(match.others(), name) != match.others().end();
    if (!is_known) match.other_list[match.other_count++] = name;
  }
  return match;
}

}  // namespace cicd
