// SPDX-License-Identifier: Apache-2.0
// The base policies that come inside the program: the files of policies/, by the name behind
// "builtin:" in `extends`. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

inline constexpr std::string_view kBuiltinPrefix = "builtin:";

// "github" -> its text.
std::optional<std::string_view> base_policy(std::string_view name);
// "debian, docker, ..."
std::string base_policy_names();

namespace detail {

struct BasePolicy {
  std::string_view name;  // "github.yaml"
  std::string_view text;
};
// cmake/CicdEmbed.cmake makes the source.
std::vector<BasePolicy> embedded_policies();

}  // namespace detail

}  // namespace cicd
