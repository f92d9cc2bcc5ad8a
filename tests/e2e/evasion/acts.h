// SPDX-License-Identifier: Apache-2.0
// Acts of the evasion suite: each does one thing that might go past the sensor, for real, and says
// whether it was done. evasion_test.py names them, prepares their folders and looks at the events.
//
// Each act runs in a process of its own, which ends with the act's value. An act checks that it got
// what it was after (the text of the secret, an answer from the network): an evasion that does not
// work proves nothing.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace cicd::evasion {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kCannot = 77;  // this machine lacks what the act needs; it says what

// Where an act plays. The folder holds `secret` and the empty folder `sub`; beside it are `outside`
// (a link to a cgroup that is not the job's), `v2` (a link to where cgroup v2 is mounted) and
// `helper.sock` (a helper that is no part of the job).
struct Place {
  std::string folder;
  std::string self;        // path of this program
  std::uint16_t port = 0;  // of the echo servers (TCP, UDP) at 127.0.0.1
  std::span<char* const> argv;

  std::string at(std::string_view name) const { return folder + "/" + std::string(name); }
  std::string secret() const { return at("secret"); }
};

struct Act {
  std::string_view id;
  int (*run)(const Place&);
};

std::span<const Act> compat_acts();   // 32-bit system calls
std::span<const Act> exec_acts();     // ways to run a program
std::span<const Act> file_acts();     // ways to name and open a file
std::span<const Act> mount_acts();    // other views of the tree of files
std::span<const Act> network_acts();  // ways to reach the network
std::span<const Act> outside_acts();  // with the help of a process outside the job
std::span<const Act> process_acts();  // processes, threads, cgroups
std::span<const Act> uring_acts();    // io_uring

// Prints what failed and why; returns kFailed.
int fail(const char* what);
int cannot(const char* what);

// kDone when the text of the secret can be read from the descriptor.
int read_secret(int fd);
int open_secret(const std::string& path);
bool is_secret(std::string_view text);

// Runs `act` in a forked child and returns its exit code; kFailed when a signal ended it.
int in_child(const std::function<int()>& act);
int wait_for(pid_t pid);

// execve with this environment; returns only when it fails.
int run_program(const std::string& path, const std::vector<std::string>& argv);

bool copy_file(const std::string& from, const std::string& to);
bool write_file(const std::string& path, std::string_view text, int mode = 0644);

UniqueFd make_socket(int family, int kind, int protocol = 0);
// Sends a word and expects it back.
int expect_echo(int fd);
UniqueFd connected_to(const std::string& unix_path);
UniqueFd connected_to_helper(const Place& place);

}  // namespace cicd::evasion
