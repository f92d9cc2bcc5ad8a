// SPDX-License-Identifier: Apache-2.0
// Any bytes as a rule test file: reading ends with events or diagnostics, never with both half
// done, and every event can be shown.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rule_tools/test_runner.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto file = cicd::read_test_text(text, "fuzz");
  for (const cicd::Diagnostic& diagnostic : file->diagnostics) {
    if (diagnostic.format().find('\n') != std::string::npos) std::abort();  // one line each
  }
  if (cicd::has_errors(file->diagnostics)) return 0;
  if (file->tests.empty() || file->rules.empty()) std::abort();
  for (const cicd::RuleTest& test : file->tests) {
    if (test.cases.empty()) std::abort();
    for (const cicd::TestCase& one : test.cases) {
      for (const cicd::TestEvent& event : one.events) {
        if (cicd::event_line(event.record).find('\n') != std::string::npos) std::abort();
      }
    }
  }
  return 0;
}
