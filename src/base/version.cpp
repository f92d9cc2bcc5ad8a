// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

namespace cicd {

std::string_view version() { return CICD_VERSION; }

}  // namespace cicd
