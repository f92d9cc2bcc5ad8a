// SPDX-License-Identifier: Apache-2.0
// DnsRedirect: the second way of a job's questions to the resolver, in one network namespace. What
// programs send is turned by the kernel side at connect and sendmsg; a raw socket has neither. It
// has a mark (CICD_RAW_SOCKET_MARK), and a table of nftables leads what has the mark and goes to
// port 53 to the resolver's port there. Without it such packets are denied, as all others of raw
// sockets: this opens a way to the resolver, and closes none.
//
// The table is put by nft(8), libnftables' own program, which stays: a table with "flags owner"
// belongs to the netlink socket that made it (Linux 5.12), so that root in the job's namespace can
// neither change nor flush it, and it is gone when the process is, whatever ended us. A kernel or
// an nft that does not know owners gets a plain table, which the next one here replaces.
// Why a process: libnftables reads all of the namespace's tables before it adds one, and those are
// the job's to make (here it has limits, and nobody waits); and programs that are linked statically
// can load no library.
//
// Threads: one at a time; start() enters the namespace (network_namespace.h). Lifetime: the table
// is gone when the destructor returns, which waits for the process: some 15 ms, a second at most.
// With several, call end() of all first.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

class DnsRedirect {
 public:
  static constexpr const char* kTable = "inet cicd_sensor";
  static constexpr std::chrono::seconds kPatience{5};

  // Where nft is, of the places that distributions have it in; empty: in none.
  static std::string find_nft();

  // Begins to put the table; `port` is the resolver's.
  static Result<std::unique_ptr<DnsRedirect>> start(std::string nft, UniqueFd netns,
                                                    std::uint16_t port);
  ~DnsRedirect();
  DnsRedirect(const DnsRedirect&) = delete;
  DnsRedirect& operator=(const DnsRedirect&) = delete;

  enum class State : std::uint8_t { kPutting, kThere, kFailed };
  State state() const { return state_; }
  // There may be something for advance() to read.
  int fd() const { return talk_.get(); }
  // Takes what nft has said since, and never waits; also to be called now and then, for nft may say
  // nothing (kPatience).
  State advance();
  // Begins to take it away; after that only the destructor.
  void end();

 private:
  DnsRedirect(std::string nft, UniqueFd netns, std::uint16_t port);
  Result<> start_nft();
  Result<> spawn(int stdio);
  // False: nft has gone.
  bool read_answer();
  void give_up();
  void wait_for_nft();

  std::string nft_;
  UniqueFd netns_;  // until it is clear which kind of table it is
  std::uint16_t port_;
  bool has_owner_ = true;
  State state_ = State::kPutting;
  std::chrono::steady_clock::time_point deadline_;
  UniqueFd talk_;  // standard input, output and error of nft
  pid_t pid_ = 0;  // 0: none runs
  std::string said_;
};

}  // namespace cicd
