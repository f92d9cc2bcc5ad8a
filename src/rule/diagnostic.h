// SPDX-License-Identifier: Apache-2.0
// Diagnostic: a mistake in a rule file with its place. Rule loading reports all of them, not the
// first. Pure data; any thread.
#pragma once

#include <string>
#include <vector>

namespace cicd {

struct Diagnostic {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  std::string file;
  int line = 0;    // from 1; 0: the file as a whole
  int column = 0;  // from 1, in characters
  std::string rule_id;  // empty when the mistake is outside a rule
  std::string text;     // what is wrong and what is allowed, one line

  // "file:line:column: error: text (rule x)"
  std::string format() const;
};

inline bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity == Diagnostic::Severity::kError) return true;
  }
  return false;
}

}  // namespace cicd
