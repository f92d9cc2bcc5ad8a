// SPDX-License-Identifier: Apache-2.0
// The files of rules/ as the build puts them into the program (cmake/CicdEmbed.cmake makes the
// source). For baseline.cpp only; any thread.
#pragma once

#include <string_view>
#include <vector>

namespace cicd::detail {

struct EmbeddedRules {
  std::string_view name;  // "credentials.yaml"
  std::string_view text;
};
std::vector<EmbeddedRules> embedded_rules();

}  // namespace cicd::detail
