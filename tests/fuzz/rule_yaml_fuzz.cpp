// SPDX-License-Identifier: Apache-2.0
// Any bytes as a rule file: loading and compiling end with rules or diagnostics, and what compiles
// can be evaluated.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rule/program.h"
#include "rule/test_events.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const cicd::LoadedRules loaded = cicd::load_rules_from_text(text, "fuzz");
  for (const cicd::Diagnostic& diagnostic : loaded.diagnostics) {
    if (diagnostic.format().find('\n') != std::string::npos) std::abort();  // one line each
  }
  cicd::CompileOptions options;
  options.modifiers = loaded.rule_modifiers;
  const cicd::CompileResult compiled = cicd::compile(loaded.rule_sets, options);
  if ((compiled.program == nullptr) != cicd::has_errors(compiled.diagnostics)) std::abort();
  if (compiled.program == nullptr) return 0;
  static const cicd::test::Event event =
      cicd::test::open("/etc/Shadow", {{"/bin/cat", {"cat"}}, {"/bin/sh", {"sh", "-c", "x"}}});
  const auto evaluator = cicd::make_evaluator(compiled.program);
  cicd::CorrelationState(compiled.program)
      .count(event.record(), evaluator->evaluate(event.record()));
  return 0;
}
