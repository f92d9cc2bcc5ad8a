// SPDX-License-Identifier: Apache-2.0
#include "egress/policy_bases.h"

namespace cicd {

namespace {

std::string_view stem(std::string_view file) { return file.substr(0, file.rfind('.')); }

}  // namespace

std::optional<std::string_view> base_policy(std::string_view name) {
  for (const detail::BasePolicy& base : detail::embedded_policies()) {
    if (stem(base.name) == name) return base.text;
  }
  return std::nullopt;
}

std::string base_policy_names() {
  std::string out;
  for (const detail::BasePolicy& base : detail::embedded_policies()) {
    out.append(out.empty() ? "" : ", ").append(stem(base.name));
  }
  return out;
}

}  // namespace cicd
