// SPDX-License-Identifier: Apache-2.0
// Events to explain a rule with, out of a file as people name it: `FILE`, or `FILE:LINE` when it
// holds more than one. A .yaml or .yml file is a rule test file; any other a row of a log (one
// object, on one line or several) or a log of rows; "-" is standard input.
//
// Threads: one. Lifetime: events point into the EventFile.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rule_tools/row_reader.h"
#include "rule_tools/test_file.h"

namespace cicd {

struct EventFile {
  std::vector<TestEvent> events;   // a job when there are more than one
  std::vector<std::string> rules;  // of a test file; empty of a log
  std::optional<RuleScope> project;
  bool has_shortened_arguments = false;

  // What the records point into.
  std::unique_ptr<TestFile> test_file;
  std::unique_ptr<RowReader> reader;
};

Result<EventFile> read_event_file(const std::string& argument);

}  // namespace cicd
