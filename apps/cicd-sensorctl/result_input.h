// SPDX-License-Identifier: Apache-2.0
// A result document on standard input. One thread.
#pragma once

#include <string>

#include "base/result.h"

namespace cicd::ctl {

// All there is, up to a byte more than a document may have.
Result<std::string> read_standard_input();

}  // namespace cicd::ctl
