// SPDX-License-Identifier: Apache-2.0
// What jobs of a project have reached, over many jobs: the input of a policy that is learned.
// An address that a name led to is the name; an address is there only where no name was known.
// Pure data, and LearnTable, which merges jobs in memory as LearnStore does in a file. Threads:
// one.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace cicd {

// A destination of one job.
struct LearnedUse {
  std::string host;  // name, or address in its shortest form
  std::uint16_t port = 0;
  std::string proto;                        // tcp, udp or a number
  std::uint64_t count = 0;                  // connects
  std::uint64_t first_ns = 0, last_ns = 0;  // CLOCK_REALTIME
  std::string exec_path, step;              // an example
};

struct LearnedJob {
  std::string project;
  std::string key;  // unique in the project: a job counts once, however often it is told
  std::uint64_t end_ns = 0;
  std::vector<LearnedUse> uses;
};

// A destination over all jobs. `count`, times and example of LearnedUse are those of all of them.
struct LearnedDestination : LearnedUse {
  std::uint64_t jobs = 0;
  bool is_new = false;  // the last job was the first to use it
};

struct Learned {
  std::uint64_t jobs = 0;
  std::uint64_t last_new = 0;  // destinations that the last job was the first to use
  std::uint64_t left_out = 0;  // destinations beyond kMaxLearned
  std::vector<LearnedDestination> destinations;  // by host, port, protocol
};

// Of a project. A job that asks for more and more names cannot fill the disk.
inline constexpr std::size_t kMaxLearned = 10'000;

class LearnTable {
 public:
  void add(const LearnedJob& job);
  Learned learned() const;

 private:
  using Key = std::tuple<std::string, std::uint16_t, std::string>;
  struct Entry {
    LearnedDestination destination;
    std::uint64_t first_job_end_ns = 0;  // of the job that used it first
  };
  std::set<std::string> jobs_;
  std::map<Key, Entry> entries_;
  std::uint64_t last_end_ns_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace cicd
