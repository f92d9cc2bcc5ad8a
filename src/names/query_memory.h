// SPDX-License-Identifier: Apache-2.0
// What is remembered of DNS questions, for one job:
//   RecentNames     which process asked what lately, so that A, AAAA and retries of one name make
//                   one event; a new name is never taken for a known one.
//   PendingQueries  which questions are open on which socket, so that only an answer that was asked
//                   for teaches a name. Any process can send a forged one to a socket.
// Both are tables of sets with kWays places each: what falls into a full set replaces its oldest
// entry. For RecentNames that means an event twice, for PendingQueries an answer that counts as
// unasked; so it takes more than kWays questions that are open at the same time and share a set.
//
// Thread: the pipeline thread. Fixed size; texts keep their memory, so the steady state allocates
// nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "names/dns_message.h"
#include "names/name_table.h"

namespace cicd {

class RecentNames {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kSets = 128;
  static constexpr std::uint64_t kWindowNs = 30'000'000'000;

  // True the first time in kWindowNs. `kind` tells apart what is told about the same name.
  bool is_new(const NameUser& user, std::string_view name, std::uint32_t kind,
              std::uint64_t now_ns);

 private:
  struct Place {
    std::uint64_t hash = 0;
    std::string name;
    NameUser user;
    std::uint32_t kind = 0;
    std::uint64_t time_ns = 0;
  };
  std::vector<Place> places_;
};

// A question as the answer repeats it.
struct OpenQuestion {
  std::uint64_t cookie = 0;  // of the socket
  IpAddress server;
  std::uint16_t id = 0;
  std::uint16_t type = 0;
  std::string_view name;
};

class PendingQueries {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kSets = 128;

  void add(const OpenQuestion& question);
  bool has(const OpenQuestion& question) const;

 private:
  struct Place {
    std::uint64_t added = 0;  // 0: empty; else the number of the add() that filled it
    std::uint64_t hash = 0;
    std::uint64_t cookie = 0;
    IpAddress server;
    std::uint16_t id = 0;
    std::uint16_t type = 0;
    std::string name;

    bool holds(const OpenQuestion& question, std::uint64_t its_hash) const;
  };
  std::vector<Place> places_;
  std::uint64_t added_ = 0;
};

}  // namespace cicd
