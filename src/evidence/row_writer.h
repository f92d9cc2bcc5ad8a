// SPDX-License-Identifier: Apache-2.0
// RowWriter: records as rows of the log format (docs/reference/log-format.md), appended to a buffer
// of the caller. A row is one line of JSON with its newline.
//
// What does not change is rendered once: the job object, and the process with its ancestors per
// Process picture, in a cache that is bounded by entries and bytes.
//
// Threads: belongs to one thread. Steady state: no allocation (the buffer keeps its room).
// Trap: event ids. A detection row carries the id of the event row rendered just before it for the
// same record; render in that order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "base/time_format.h"
#include "base/uuid.h"
#include "egress/violation.h"
#include "event/event_record.h"
#include "job/identity.h"
#include "rule/program.h"

namespace cicd {

// Most ancestors in a row, newest first.
inline constexpr int kMaxAncestorsInRow = 16;
// Of an ancestor's argv; what is beyond becomes one element "<truncated, N arguments>".
inline constexpr std::size_t kMaxAncestorArgvBytes = 2'048;
// The same for the process itself, but in rows of its exec and in detections, which have all of it:
// a program that was given thousands of files opens thousands of files.
inline constexpr std::size_t kMaxRepeatedArgvBytes = 512;

struct RowOptions {
  JobIdentity identity;
  JobMetadata metadata;
  std::string scope;
  std::string runner_type;
  bool redact_process_args = true;
};

class RowWriter {
 public:
  explicit RowWriter(const RowOptions& options);

  void append_event(std::string& out, const EventRecord& record);
  void append_detection(std::string& out, const EventRecord& record, const CompiledRule& rule,
                        bool is_last_alert);
  void append_violation(std::string& out, const Violation& violation, const PolicyRef& policy);

 private:
  struct CachedProcess {
    std::uint64_t id = 0;
    std::string json;
  };

  void append_envelope(std::string& out, std::string_view log_type, const EventRecord& record);
  void append_event_object(std::string& out, const EventRecord& record, bool has_whole_argv);
  void append_process(std::string& out, const EventRecord& record, bool has_whole_argv);

  void append_culprit(std::string& out, const Process& process) const;

  std::string job_json_;       // "job":{...},"scope":"...","runner_type":"..."
  std::string provider_json_;  // of a violation: "job_link":"...","github":{...}
  bool redact_process_args_;
  Rfc3339Formatter time_;
  UuidV7Generator uuids_;
  UuidText event_id_;
  const EventRecord* last_event_ = nullptr;
  std::uint64_t now_ns_ = 0;  // of the row being written
  std::vector<CachedProcess> cache_;
  std::string scratch_;
};

// The EventMark of a tag in a row; 0 for one that stands for none.
std::uint32_t mark_of_tag(std::string_view tag);

// Members of the job object, without the braces.
void append_job_members(JsonWriter& json, const JobIdentity& identity, const JobMetadata& metadata);

}  // namespace cicd
