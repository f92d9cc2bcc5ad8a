// SPDX-License-Identifier: Apache-2.0
// BuildOutput: finds in the answer to a build of the classic builder (lines of JSON) which
// containers it starts for its steps: dockerd says " ---> Running in ID" right before. What a step
// itself prints looks the same, so a name from here is a claim that has to be checked.
//
// Pure; any thread. A line longer than kMostLineBytes is passed over.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

class BuildOutput {
 public:
  static constexpr std::size_t kMostLineBytes = 4096;

  // The heads of ids (12 digits) in what has come since the last call.
  std::vector<std::string> take(std::string_view bytes);

 private:
  std::string line_;
  bool is_too_long_ = false;
};

}  // namespace cicd
