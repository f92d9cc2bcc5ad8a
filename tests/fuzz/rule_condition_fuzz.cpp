// SPDX-License-Identifier: Apache-2.0
// Any bytes as the condition of a rule, on every event type; the event's text is taken from the
// input too, since jobs are as hostile as rule files.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rule/program.h"
#include "rule/test_events.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  cicd::RuleSet set;
  set.ruleset_id = "fuzz";
  // An even number of bytes: the portable language.
  set.language = size % 2 == 0 ? cicd::RuleLanguage::kPortable : cicd::RuleLanguage::kExtended;
  set.lists = {{"a", {"/bin", text}}, {"empty", {}}};
  for (const cicd::EventTypeInfo& info : cicd::event_types()) {
    cicd::Rule rule;
    rule.rule_id = std::string(info.name);
    rule.event_type = info.type;
    rule.condition = {text, "fuzz", 1, 1, {}};
    set.rules = {rule};
    const cicd::CompileResult compiled = cicd::compile({set});
    for (const cicd::Diagnostic& diagnostic : compiled.diagnostics) {
      if (diagnostic.format().find('\n') != std::string::npos) std::abort();  // one line each
      if (diagnostic.line < 1 || diagnostic.column < 1) std::abort();
    }
    if (compiled.program == nullptr) continue;
    const std::vector<cicd::test::Program> chain = {
        {"/bin/Cat", {"cat", text}}, {"/bin/sh", {"sh", "-c", text}}, {text, {}}};
    cicd::test::Event event(info.type, cicd::test::chain(chain));
    for (std::uint8_t i = 0; i < info.fields.size(); ++i) event.text(i, text);
    if (info.type == cicd::EventType::kFileOpen) event.text(cicd::field::file_open::kError, "");
    const auto evaluator = cicd::make_evaluator(compiled.program);
    const std::size_t first = evaluator->evaluate(event.record()).size();
    // Kept answers must not change anything.
    if (evaluator->evaluate(event.record()).size() != first) std::abort();
  }
  return 0;
}
