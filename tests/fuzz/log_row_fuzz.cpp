// SPDX-License-Identifier: Apache-2.0
// Any bytes as rows of a log: reading ends with a row or a reason, and what was read can be shown
// and evaluated.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "job/subject.h"
#include "rule_tools/log_replay.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  static cicd::RowReader reader;
  static const cicd::LoadedRules rules = cicd::load_rules_from_text(
      "rule_sets: [{ruleset_id: a, rules: [{rule_id: r, event_type: file_open, action: detect, "
      "condition: 'process.ancestors.exists(p, p.argv.exists(a, path.contains(a)))'}]}]",
      "rules");
  cicd::LogReplay replay(rules, {});
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto row = reader.read(line);
    if (!row && row.error().text.find('\n') != std::string::npos) std::abort();  // one line each
    if (row && (*row)->kind == cicd::LogRow::Kind::kEvent) {
      if ((*row)->record.process == nullptr) std::abort();
      cicd::subject_of((*row)->record);
    }
    replay.add_line(line, [] { return std::string("fuzz:1"); });
  }
  const cicd::ReplayReport report = replay.finish();
  if (report.rows != report.events + report.other_rows + report.bad_rows) std::abort();
  return 0;
}
