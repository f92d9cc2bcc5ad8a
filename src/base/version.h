// SPDX-License-Identifier: Apache-2.0
// The version of this build, as in `--version` and in every log row.
#pragma once

#include <string_view>

namespace cicd {

std::string_view version();

}  // namespace cicd
