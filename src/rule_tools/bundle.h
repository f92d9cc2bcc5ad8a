// SPDX-License-Identifier: Apache-2.0
// One rule file out of a directory of them: what a manager hands out, or an image carries. The
// texts are put together as they are, comments and all, in the order in which the directory is
// read, so the bundle fires as the directory does and two bundles of the same files are the same
// bytes.
//
// The revision of a rule set is the hash of the file it comes from; of a bundled one it is that of
// the bundle.
// Threads: one.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "rule_tools/rule_check.h"

namespace cicd {

struct Bundle {
  RuleFindings findings;  // errors: there is no text
  std::string text;
  std::string revision;
  std::size_t files = 0;
};

// An error when the directory cannot be read, the bundle would be larger than a rule file may be,
// or would not be read as its files are. `max_bytes` is the limit.
Result<Bundle> make_bundle(const std::string& directory, std::size_t max_bytes = kMaxRuleFileBytes);

// Writes a file whole or not at all: beside it first, then in its place.
Result<void> write_whole_file(const std::string& path, const std::string& text);

}  // namespace cicd
