// SPDX-License-Identifier: Apache-2.0
#include "names/query_memory.h"

#include <algorithm>
#include <functional>
#include <span>

namespace cicd {

namespace {

std::size_t mix(std::size_t seed, std::uint64_t value) {
  return (seed ^ value) * 0x9e3779b97f4a7c15 + (seed >> 29);
}

// The places of a set. The upper half of a hash: it depends on every bit of what was mixed.
template <typename Memory, typename Places>
auto set_of(Places& places, std::size_t hash) {
  return std::span(places).subspan((hash >> 32) % Memory::kSets * Memory::kWays, Memory::kWays);
}

std::size_t hash_of(const OpenQuestion& question) {
  const std::size_t name = std::hash<std::string_view>()(question.name);
  return mix(mix(mix(name, question.cookie), question.id), question.type);
}

}  // namespace

bool RecentNames::is_new(const NameUser& user, std::string_view name, std::uint32_t kind,
                         std::uint64_t now_ns) {
  if (places_.empty()) places_.resize(kSets * kWays);
  const std::size_t hash = mix(mix(std::hash<std::string_view>()(name), user.pid), kind);
  const std::span<Place> set = set_of<RecentNames>(places_, hash);
  const auto known = std::ranges::find_if(set, [&](const Place& place) {
    return place.hash == hash && place.name == name && place.user == user && place.kind == kind;
  });
  if (known != set.end()) {
    if (now_ns < known->time_ns + kWindowNs) return false;
    known->time_ns = now_ns;
    return true;
  }
  Place& oldest = *std::ranges::min_element(set, {}, &Place::time_ns);
  oldest.hash = hash;
  oldest.name.assign(name);
  oldest.user = user;
  oldest.kind = kind;
  oldest.time_ns = now_ns;
  return true;
}

bool PendingQueries::Place::holds(const OpenQuestion& question, std::uint64_t its_hash) const {
  return added != 0 && hash == its_hash && cookie == question.cookie && server == question.server &&
         id == question.id && type == question.type && name == question.name;
}

void PendingQueries::add(const OpenQuestion& question) {
  if (places_.empty()) places_.resize(kSets * kWays);
  const std::size_t hash = hash_of(question);
  const std::span<Place> set = set_of<PendingQueries>(places_, hash);
  const auto known =
      std::ranges::find_if(set, [&](const Place& place) { return place.holds(question, hash); });
  Place& place = known != set.end() ? *known : *std::ranges::min_element(set, {}, &Place::added);
  place.added = ++added_;
  place.hash = hash;
  place.cookie = question.cookie;
  place.server = question.server;
  place.id = question.id;
  place.type = question.type;
  place.name.assign(question.name);
}

bool PendingQueries::has(const OpenQuestion& question) const {
  if (places_.empty()) return false;
  const std::size_t hash = hash_of(question);
  return std::ranges::any_of(set_of<PendingQueries>(places_, hash),
                             [&](const Place& place) { return place.holds(question, hash); });
}

}  // namespace cicd
