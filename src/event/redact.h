// SPDX-License-Identifier: Apache-2.0
// ArgvRedactor: what of a command line may be written to logs and reports. Feed it the arguments
// in order, argv[0] first:
//   1. after an argument that starts with --token, --pass, --secret, --api, --key, --auth,
//      --header, -p, -t or -H: "<redacted>";
//   2. an argument that contains (letters of either case) token, pass, key, auth, secret, cred,
//      "bearer ", akia, asia, aiza, gocspx-, ghp_, gho_, ghu_, ghs_, ghr_, github_pat_, glpat- or
//      glptt-: "<redacted>";
//   3. a longer one than 12 bytes: its first 12 bytes and "<truncated, N bytes>", N its length.
// These rules are an interface (docs/reference/log-format.md). The cut of rule 3 moves back to the
// start of a UTF-8 character rather than split it.
//
// Threads: an object belongs to one thread. Allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

class ArgvRedactor {
 public:
  static constexpr std::string_view kRedacted = "<redacted>";
  static constexpr std::size_t kKeptBytes = 12;

  explicit ArgvRedactor(bool enabled = true) : enabled_(enabled) {}

  // What may be shown of the next argument; valid until the next call, and no longer than
  // `argument`.
  std::string_view next(std::string_view argument);

 private:
  bool enabled_;
  bool hide_next_ = false;
  std::array<char, 64> buffer_;
};

// The whole of it, for reports.
std::vector<std::string> redact_argv(std::span<const std::string> argv);

}  // namespace cicd
