// SPDX-License-Identifier: Apache-2.0
// What is remembered of DNS questions, for one job:
//   RecentNames     which process asked what lately, so that A, AAAA and retries of one name make
//                   one event; a new name is never taken for a known one.
//   PendingQueries  which questions are open on which socket, so that only an answer that was asked
//                   for teaches a name. Any process can send a forged one to a socket.
// Both are direct-mapped tables: what falls on a taken place replaces it. For RecentNames that
// means an event twice, for PendingQueries an answer that counts as unasked.
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
  static constexpr std::size_t kPlaces = 1'024;
  static constexpr std::uint64_t kWindowNs = 30'000'000'000;

  // True the first time in kWindowNs. `kind` tells apart what is told about the same name.
  bool is_new(const NameUser& user, std::string_view name, std::uint32_t kind,
              std::uint64_t now_ns);

 private:
  struct Place {
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
  static constexpr std::size_t kPlaces = 1'024;

  void add(const OpenQuestion& question);
  bool has(const OpenQuestion& question) const;

 private:
  struct Place {
    std::uint64_t cookie = 0;
    IpAddress server;
    std::uint16_t id = 0;
    std::uint16_t type = 0;
    std::string name;
  };
  std::vector<Place> places_;
};

}  // namespace cicd
