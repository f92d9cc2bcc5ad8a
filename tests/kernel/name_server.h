// SPDX-License-Identifier: Apache-2.0
// NameServer: a DNS server on port 53 of a network namespace of its own, outside every job. It
// answers 127.0.0.1 and ::1 over UDP and TCP with what `reply` makes of a query; acts of tests join
// the namespace with enter().
//
// Threads: one of its own, which also has the namespace; start and stop from the test.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace cicd::test {

class NameServer {
 public:
  using Message = std::vector<std::uint8_t>;
  // Empty: no answer.
  using Reply = std::function<Message(const Message& query, bool is_tcp)>;

  explicit NameServer(Reply reply);
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  bool is_up() const { return namespace_fd_ >= 0; }
  // Moves the calling process (with one thread) into the namespace.
  bool enter() const;

 private:
  bool set_up();
  void serve();
  void answer_datagram(int socket);
  void answer_stream(int listener);

  Reply reply_;
  int namespace_fd_ = -1;
  std::vector<int> datagrams_;
  std::vector<int> listeners_;
  std::atomic<bool> is_stopping_ = false;
  std::thread thread_;
};

}  // namespace cicd::test
