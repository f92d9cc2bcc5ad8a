// SPDX-License-Identifier: Apache-2.0
// Which files hold secrets: one table of kinds and patterns, documented in
// docs/reference/log-format.md. Used for "sensitive files" in the summary and the reports; it
// raises no detection, that is the rules' business.
// Threads: pure; the table is built once, at first use.
#pragma once

#include <span>
#include <string_view>

namespace cicd {

// A pattern is matched against the end of an absolute path, whole components at a time; `*` stands
// for any text without a slash. One that starts with "/" at a root directory name is matched
// against the whole path ("/etc/shadow").
struct SensitivePattern {
  std::string_view pattern;
  std::string_view kind;
};
std::span<const SensitivePattern> sensitive_patterns();

// The kind of the first pattern that matches, or empty. Allocates nothing.
std::string_view sensitive_kind(std::string_view path);

}  // namespace cicd
