// SPDX-License-Identifier: Apache-2.0
#include "rule/diagnostic.h"

#include <utf8proc.h>

#include <utility>

namespace cicd {

namespace {

constexpr std::size_t kMaxShownBytes = 60;

}  // namespace

std::string Diagnostic::format() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  out += severity == Severity::kError ? ": error: " : ": warning: ";
  out += text;
  if (!rule_id.empty()) out += " (rule " + shown(rule_id) + ")";
  return out;
}

void add_diagnostic(std::vector<Diagnostic>& diagnostics, Diagnostic diagnostic) {
  if (diagnostics.size() >= kMaxDiagnostics) {
    // A hidden error must not pass for a warning.
    if (diagnostic.severity == Diagnostic::Severity::kError) {
      diagnostics.back().severity = Diagnostic::Severity::kError;
    }
    return;
  }
  diagnostics.push_back(std::move(diagnostic));
  if (diagnostics.size() == kMaxDiagnostics - 1) {
    diagnostics.push_back({diagnostics.back().severity, diagnostics.back().file, 0, 0, "",
                           "more mistakes were found and are not shown; mend these first"});
  }
}

std::string shown(const std::string& text) {
  std::string out;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    if (out.size() >= kMaxShownBytes) return out + "...";
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (used <= 0 || control || code == 0x2028 || code == 0x2029) {
      out += '?';
    } else {
      out.append(text, at, static_cast<std::size_t>(used));
    }
    at += used > 0 ? static_cast<std::size_t>(used) : 1;
  }
  return out;
}

}  // namespace cicd
