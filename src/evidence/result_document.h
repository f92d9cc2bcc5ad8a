// SPDX-License-Identifier: Apache-2.0
// The result document: what a scope has found, as `project result` and `job result` give it and
// reports are made of (docs/reference/result-document.md). Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "job/summary.h"

namespace cicd {

struct ResultOptions {
  ScopeKind scope = ScopeKind::kProject;
  bool redact_process_args = true;
  std::size_t max_bytes = std::size_t{10} << 20;
};

// Indented JSON without a newline at its end; nullopt when that takes more than max_bytes. The end
// time of the summary is when it was made.
std::optional<std::string> render_result_document(const JobSummary& summary,
                                                  const ResultOptions& options);

}  // namespace cicd
