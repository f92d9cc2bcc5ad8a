// SPDX-License-Identifier: Apache-2.0
// ReportModel: what the HTML report needs of a job's events, gathered as they go by, so that
// nothing is read again at the end: one small record an event, processes and programs once, texts
// once.
//
// Bounded: it counts what its data will take on the page. Near the limit files that were only read
// are let go first, then other changes of files, then the rest; events of alerts last. What was let
// go is counted by type (`left_out`) and still is in the histogram, which has no gaps.
//
// Threads: filled by the job's worker; read by whoever writes the report once that has ended.
// Allocates only while it grows.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "event/event_record.h"
#include "report/string_table.h"
#include "report/time_histogram.h"
#include "rule/program.h"

namespace cicd {

// Bits of ReportEvent::flags; those of EventMark follow from kFirstMarkBit on.
enum ReportFlag : std::uint16_t {
  kFlagRead = 1 << 0,
  kFlagWrite = 1 << 1,
  kFlagFailed = 1 << 2,
};
inline constexpr int kFirstMarkBit = 3;

// Twenty bytes: two hundred thousand of them are 4 MB.
struct ReportEvent {
  std::uint32_t time_us_low = 0;  // since ReportModel::start_ns(), 40 bits
  std::uint32_t process = 0;
  std::uint32_t text = 0;  // StringTable; of process_exec the image, of process_exit the exit code
  std::uint32_t detail = 0;  // StringTable; of process_exit the signal
  std::uint16_t flags = 0;
  std::uint8_t time_us_high = 0;
  std::uint8_t type = 0;  // EventType

  std::uint64_t time_us() const { return std::uint64_t{time_us_high} << 32 | time_us_low; }
};

struct ReportImage {  // one program with its arguments; all four are texts
  std::uint32_t path = 0;
  std::uint32_t arguments = 0;  // but for the program's name (and of a script the interpreter's)
  std::uint32_t cwd = 0;
  std::uint32_t script = 0;
};

// A program that a process had before its last one.
struct ReportPastImage {
  std::uint32_t image = 0;
  std::uint32_t previous = 0;  // ReportModel::past_images(); 0: none
};

struct ReportProcess {
  std::uint64_t start_ns = 0;  // CLOCK_BOOTTIME; with pid the key
  std::uint64_t start_us = 0;  // since start_ns() of the model
  std::uint64_t end_us = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t parent = 0;  // 0: none that is known
  std::uint32_t image = 0;
  std::uint32_t past_image = 0;
  std::uint32_t step = 0;    // a text: name of the step of its last program
  std::uint32_t events = 0;  // all of them, those left out too
  std::int16_t exit_code = 0;
  std::uint8_t signal = 0;
  bool has_ended = false;
};

// A hit of a rule within its max_alerts.
struct ReportAlert {
  std::uint32_t event = 0;
  std::uint32_t rule = 0;
};
struct ReportRule {
  std::string ruleset_id;
  std::string rule_id;
};
// The fields of an event behind an alert: members of a JSON object, as the page holds them.
struct ReportValues {
  std::uint32_t event = 0;
  std::string json;
};

class ReportModel {
 public:
  // What the data may take on the page. The page itself and the summary come on top, so that all
  // stays below 10 MiB.
  static constexpr std::size_t kMaxPageBytes = 9'700'000;

  // `redact_arguments` false: they come from rows, where that was done.
  explicit ReportModel(std::size_t max_page_bytes = kMaxPageBytes, bool redact_arguments = true);

  void add_event(const EventRecord& record);
  // Of the record that add_event() was given last.
  void add_alert(const EventRecord& record, const CompiledRule& rule);

  std::uint64_t start_ns() const { return start_ns_; }  // CLOCK_REALTIME; 0: nothing happened
  const StringTable& strings() const { return strings_; }
  const std::deque<ReportEvent>& events() const { return events_; }
  // Index 0 is nobody: the process of events whose own had no room.
  const std::deque<ReportProcess>& processes() const { return processes_; }
  const std::deque<ReportImage>& images() const { return images_; }
  const std::deque<ReportPastImage>& past_images() const { return past_images_; }
  const std::vector<ReportAlert>& alerts() const { return alerts_; }
  const std::vector<ReportRule>& rules() const { return rules_; }
  const std::vector<ReportValues>& values() const { return values_; }
  const TimeHistogram& histogram() const { return histogram_; }
  // Events that are not in events(), by EventType.
  const std::array<std::uint64_t, kEventTypeCount>& left_out() const { return left_out_; }
  std::uint64_t alerts_left_out() const { return alerts_left_out_; }
  std::size_t page_bytes() const { return page_bytes_ + strings_.page_bytes(); }

 private:
  struct CachedProcess {
    std::uint64_t id = 0;
    std::uint32_t process = 0;
    std::uint32_t image = 0;
  };

  std::size_t limit_of(const EventRecord& record) const;
  void append(const EventRecord& record, std::uint32_t process, std::uint32_t image);
  std::size_t page_bytes_of(const ReportEvent& event) const;
  void fill_texts(const EventRecord& record, ReportEvent& event);
  void fill_network_texts(const EventRecord& record, ReportEvent& event);
  void append_values(const EventRecord& record);
  CachedProcess process_of(const Process& process, std::uint64_t boot_epoch_ns);
  std::uint32_t find_or_add_process(const Process& process, std::uint64_t boot_epoch_ns);
  std::uint32_t image_of(const ExecImage& image);
  void set_image(std::uint32_t process, std::uint32_t image);
  std::uint32_t rule_of(const CompiledRule& rule);
  std::uint64_t since_start_us(std::uint64_t time_ns) const;

  std::size_t max_page_bytes_;
  bool redact_arguments_;
  std::size_t page_bytes_ = 0;  // but for the strings
  std::uint64_t start_ns_ = 0;
  StringTable strings_;
  std::deque<ReportEvent> events_;
  std::deque<ReportProcess> processes_;
  std::deque<ReportImage> images_;
  std::deque<ReportPastImage> past_images_;
  std::vector<ReportAlert> alerts_;
  std::vector<ReportRule> rules_;
  std::vector<ReportValues> values_;
  std::array<std::uint64_t, kEventTypeCount> left_out_{};
  std::uint64_t alerts_left_out_ = 0;
  TimeHistogram histogram_;
  IndexTable process_index_;
  IndexTable image_index_;
  std::vector<CachedProcess> cache_;                // by Process::id, direct mapped
  std::vector<const CompiledRule*> rule_pointers_;  // as rules_; only compared
  bool has_last_event_ = false;                     // the record given last is events_.back()
  std::string scratch_;
};

}  // namespace cicd
