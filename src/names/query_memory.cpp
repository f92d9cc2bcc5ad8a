// SPDX-License-Identifier: Apache-2.0
#include "names/query_memory.h"

#include <functional>

namespace cicd {

namespace {

std::size_t mix(std::size_t seed, std::uint64_t value) {
  return (seed ^ value) * 0x9e3779b97f4a7c15 + (seed >> 29);
}

// The upper half: it depends on every bit of what was mixed.
std::size_t place_of(std::size_t hash, std::size_t places) { return (hash >> 32) % places; }

std::size_t hash_of(const OpenQuestion& question) {
  const std::size_t name = std::hash<std::string_view>()(question.name);
  return mix(mix(mix(name, question.cookie), question.id), question.type);
}

}  // namespace

bool RecentNames::is_new(const NameUser& user, std::string_view name, std::uint32_t kind,
                         std::uint64_t now_ns) {
  if (places_.empty()) places_.resize(kPlaces);
  const std::size_t hash = mix(mix(std::hash<std::string_view>()(name), user.pid), kind);
  Place& place = places_[place_of(hash, kPlaces)];
  const bool is_known = place.name == name && place.user == user && place.kind == kind &&
                        now_ns < place.time_ns + kWindowNs;
  if (is_known) return false;
  place.name.assign(name);
  place.user = user;
  place.kind = kind;
  place.time_ns = now_ns;
  return true;
}

void PendingQueries::add(const OpenQuestion& question) {
  if (places_.empty()) places_.resize(kPlaces);
  Place& place = places_[place_of(hash_of(question), kPlaces)];
  place.cookie = question.cookie;
  place.server = question.server;
  place.id = question.id;
  place.type = question.type;
  place.name.assign(question.name);
}

bool PendingQueries::has(const OpenQuestion& question) const {
  if (places_.empty()) return false;
  const Place& place = places_[place_of(hash_of(question), kPlaces)];
  return place.cookie == question.cookie && place.server == question.server &&
         place.id == question.id && place.type == question.type && place.name == question.name;
}

}  // namespace cicd
