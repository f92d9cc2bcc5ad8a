// SPDX-License-Identifier: Apache-2.0
// RowReader: a row of the log format (docs/reference/log-format.md) back into an EventRecord, as
// far as a row holds one. What it does not hold: arguments beyond their first 12 bytes and those
// that looked like secrets, ancestors beyond the 16th, and whatever the sensor counted and did not
// write. The row says where that is so (`has_shortened_arguments`, `has_most_ancestors`).
//
// Rows are hostile: a member of a wrong type, a time that is none, bytes that are no JSON are
// errors with a reason; nothing is guessed.
//
// Threads: one. Lifetime: a row, and what its record points to, is valid until the next read().
// Memory: bounded by the longest row and a cache of processes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "event/event_record.h"
#include "rule/program.h"

namespace cicd {

// The longest row that is read. A sensor's own are far shorter: an argv is at most 2 MiB, and rows
// hold 12 bytes of an argument.
inline constexpr std::size_t kMaxRowBytes = 4u << 20;

struct LogRow {
  enum class Kind { kEvent, kDetection, kOther };
  Kind kind = Kind::kOther;
  std::string job_key;   // equal for rows of one scope of one job
  std::string job_name;  // for people
  RuleScope project;

  // Of an event and of a detection.
  std::string event_id;
  EventRecord record;
  bool has_shortened_arguments = false;  // of the process or an ancestor
  bool has_most_ancestors = false;       // as many as a row holds: there may be more

  // Of a detection.
  std::string ruleset_id, rule_id, rule_name, rule_description;
};

class RowReader {
 public:
  // `line` without its newline.
  Result<const LogRow*> read(std::string_view line);

 private:
  class Parser;
  void make_room(std::size_t bytes);

  LogRow row_;
  std::array<std::string, kMaxEventFields> texts_;
  std::unordered_map<std::string, ProcessRef> processes_;
  std::size_t cached_bytes_ = 0;
  std::uint64_t last_id_ = 0;
};

// Whether an argument is one that the log has cut or taken out.
bool is_shortened_argument(std::string_view argument);

}  // namespace cicd
