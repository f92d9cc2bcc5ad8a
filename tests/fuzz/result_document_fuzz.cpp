// SPDX-License-Identifier: Apache-2.0
// Any bytes as a result document: it is read or refused with a reason; what was read makes a page
// and a summary, and written again it is read the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "evidence/result_document.h"
#include "report/html_report.h"
#include "report/result_reader.h"
#include "report/step_summary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto summary = cicd::read_result_document({reinterpret_cast<const char*>(data), size});
  if (!summary) {
    if (summary.error().text.empty()) std::abort();
    return 0;
  }
  std::size_t page_bytes = 0;
  cicd::write_html_report(*cicd::model_of_result(*summary), *summary,
                          [&](std::string_view piece) { page_bytes += piece.size(); });
  if (page_bytes == 0 || cicd::step_summary(&*summary, {}).empty()) std::abort();
  const auto document = cicd::render_result_document(*summary, {.redact_process_args = false});
  if (!document) return 0;
  const auto again = cicd::read_result_document(*document);
  if (!again || again->detections.size() != summary->detections.size()) std::abort();
  return 0;
}
