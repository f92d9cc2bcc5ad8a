// SPDX-License-Identifier: Apache-2.0
// JSON Schemas (draft 7) of rule files and rule test files, for editors: completion, and a mark
// under what `rule validate` or `rule test` would say. Event types, fields and their docs are those
// of the table. What a schema cannot say (conditions, names of rules) those commands do.
//
// Stricter than a sensor in one thing: keys it would ignore with a warning are mistakes here.
// Threads: pure.
#pragma once

#include <string>

namespace cicd {

std::string rule_file_schema();
std::string test_file_schema();

}  // namespace cicd
