// SPDX-License-Identifier: Apache-2.0
// The baseline rules of rules/, built into the program, so that one file is all there is to
// install. Static data; any thread.
#pragma once

#include <span>
#include <string_view>

namespace cicd {

struct BaselineFile {
  std::string_view name;  // for diagnostics: "baseline/<file>"
  std::string_view text;
};

std::span<const BaselineFile> baseline_files();

}  // namespace cicd
