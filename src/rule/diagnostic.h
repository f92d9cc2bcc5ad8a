// SPDX-License-Identifier: Apache-2.0
// Diagnostic: a mistake in a rule file with its place. Rule loading reports all of them, not the
// first (up to kMaxDiagnostics, so that a hostile file cannot fill the memory).
// Pure data; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cicd {

inline constexpr std::size_t kMaxDiagnostics = 1000;

// Where something stands in a rule file.
struct SourcePlace {
  std::string file;
  int line = 0;    // from 1; 0: the file as a whole
  int column = 0;  // from 1, in characters
};

struct Diagnostic {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  std::string file;
  int line = 0;         // from 1; 0: the file as a whole
  int column = 0;       // from 1, in characters
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

// Appends, unless the list is full; the entry that fills it says that more were left out.
void add_diagnostic(std::vector<Diagnostic>& diagnostics, Diagnostic diagnostic);

// `text` made safe to show in one line of a message: control characters and broken UTF-8 replaced,
// cut after 60 bytes.
std::string shown(const std::string& text);

}  // namespace cicd
