// SPDX-License-Identifier: Apache-2.0
// LoopNet: a network namespace of its own whose loopback interface has addresses of the outside
// (TEST-NET and the like), with servers that say what got through to them. Packets to such an
// address leave a socket as they do on a real network.
//
// Threads: servers are sockets; echo() and received() from the test's thread. Acts join with
// enter().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cicd::test {

class LoopNet {
 public:
  static constexpr const char* kFar4 = "203.0.113.10";
  static constexpr const char* kOther4 = "203.0.113.11";
  static constexpr const char* kDns4 = "198.51.100.53";
  static constexpr const char* kMetadata4 = "169.254.169.254";
  static constexpr const char* kFar6 = "2001:db8::10";
  static constexpr const char* kDns6 = "2001:db8::53";
  static constexpr const char* kMetadata6 = "fd00:ec2::254";
  static constexpr std::uint16_t kResolverPort = 15'353;

  LoopNet();
  ~LoopNet();
  LoopNet(const LoopNet&) = delete;
  LoopNet& operator=(const LoopNet&) = delete;

  bool is_up() const { return namespace_fd_ >= 0; }
  bool enter() const;           // the calling process, with one thread
  std::uint32_t inode() const;  // of the namespace
  // A socket in it, listening on all addresses of both families; -1: it cannot be made.
  int serve(int type, std::uint16_t port) const;
  // Datagrams that wait at a server.
  static int received(int server);

 private:
  bool set_up();
  int namespace_fd_ = -1;
};

}  // namespace cicd::test
