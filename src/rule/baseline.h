// SPDX-License-Identifier: Apache-2.0
// The baseline rules that come inside the program: the files of rules/, no files on disk needed.
// Any thread.
#pragma once

#include "rule/rule_set.h"

namespace cicd {

// All baseline rule sets. A test holds the embedded files to be free of diagnostics.
LoadedRules baseline_rules();

}  // namespace cicd
