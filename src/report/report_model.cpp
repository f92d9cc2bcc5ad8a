// SPDX-License-Identifier: Apache-2.0
#include "report/report_model.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "event/redact.h"
#include "job/subject.h"
#include "report/page_text.h"

namespace cicd {

namespace {

constexpr std::size_t kCacheEntries = 1'024;
// What each takes on the page at most, or nearly so.
constexpr std::size_t kProcessBytes = 76;
constexpr std::size_t kImageBytes = 26;
constexpr std::size_t kAlertBytes = 12;
constexpr std::size_t kMaxArgvBytes = 600;
constexpr std::size_t kMaxAlerts = 4'000;

static_assert(sizeof(ReportEvent) == 20);
static_assert((std::uint32_t{kMarkUnreachablePath} << kFirstMarkBit) < (1u << 16));

std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return (a ^ (b * 0x9E3779B97F4A7C15u)) + b; }

std::uint64_t hash_image(const ReportImage& image) {
  return mix(mix(image.path, image.arguments), mix(image.cwd, image.script));
}

bool is_same(const ReportImage& a, const ReportImage& b) {
  return a.path == b.path && a.arguments == b.arguments && a.cwd == b.cwd && a.script == b.script;
}

void append_number(std::string& out, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

// "10.0.0.1:443/tcp", "[::1]:53/udp"
void append_address(std::string& out, std::string_view ip, std::int64_t port,
                    std::string_view protocol) {
  const bool is_v6 = ip.find(':') != std::string_view::npos;
  out.append(is_v6 ? "[" : "").append(ip).append(is_v6 ? "]:" : ":");
  append_number(out, port);
  if (!protocol.empty()) out.append("/").append(protocol);
}

bool is_write(const EventRecord& record) {
  return record.type == EventType::kFileOpen && record.number(field::file_open::kIsWrite) != 0;
}

// The error of an event that failed; empty when it did not or its type has none.
std::string_view error_of(const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    if (info.fields[i].name == "error") return record.fields[i].text();
  }
  return {};
}

}  // namespace

ReportModel::ReportModel(std::size_t max_page_bytes, bool redact_arguments)
    : max_page_bytes_(max_page_bytes), redact_arguments_(redact_arguments), cache_(kCacheEntries) {
  images_.emplace_back();
  past_images_.emplace_back();
  processes_.emplace_back();
}

std::uint64_t ReportModel::since_start_us(std::uint64_t time_ns) const {
  constexpr std::uint64_t kMostUs = (std::uint64_t{1} << 40) - 1;
  return time_ns > start_ns_ ? std::min((time_ns - start_ns_) / 1'000, kMostUs) : 0;
}

// How full the page may be for the record to come in: what says least stays out first.
std::size_t ReportModel::limit_of(const EventRecord& record) const {
  switch (lane_of(record.type, is_write(record))) {
    case ReportLane::kReads:
      return max_page_bytes_ / 100 * 92;
    case ReportLane::kChanges:
      return max_page_bytes_ / 100 * 95;
    default:
      return max_page_bytes_ / 100 * 97;
  }
}

void ReportModel::add_event(const EventRecord& record) {
  if (start_ns_ == 0) start_ns_ = record.time_ns;
  histogram_.add(lane_of(record.type, is_write(record)), since_start_us(record.time_ns));
  const CachedProcess by = process_of(*record.process, record.time_ns - record.boot_time_ns);
  ReportProcess& process = processes_[by.process];
  ++process.events;
  if (record.step) process.step = strings_.intern(record.step->name);
  if (record.type == EventType::kProcessExit) {
    namespace f = field::process_exit;
    process.exit_code = static_cast<std::int16_t>(record.number(f::kExitCode));
    process.signal = static_cast<std::uint8_t>(record.number(f::kSignal));
    process.end_us = since_start_us(record.time_ns);
    process.has_ended = true;
  }
  has_last_event_ = page_bytes() < limit_of(record);
  if (has_last_event_) {
    append(record, by.process, by.image);
  } else {
    ++left_out_[static_cast<std::size_t>(record.type)];
  }
}

void ReportModel::append(const EventRecord& record, std::uint32_t process, std::uint32_t image) {
  ReportEvent event;
  const std::uint64_t time_us = since_start_us(record.time_ns);
  event.time_us_low = static_cast<std::uint32_t>(time_us);
  event.time_us_high = static_cast<std::uint8_t>(time_us >> 32);
  event.process = process;
  event.type = static_cast<std::uint8_t>(record.type);
  event.flags = static_cast<std::uint16_t>(record.marks << kFirstMarkBit);
  if (record.type == EventType::kProcessExec) event.text = image;
  fill_texts(record, event);
  page_bytes_ += page_bytes_of(event);
  events_.push_back(event);
}

// As page_data.cpp writes it: a letter, three differences, two numbers, each with a comma.
std::size_t ReportModel::page_bytes_of(const ReportEvent& event) const {
  const ReportEvent before = events_.empty() ? ReportEvent{} : events_.back();
  const auto difference = [](std::uint64_t from, std::uint64_t to) {
    return decimal_length(static_cast<std::int64_t>(to) - static_cast<std::int64_t>(from)) + 1;
  };
  return 1 + difference(before.time_us(), event.time_us()) +
         difference(before.process, event.process) + difference(before.text, event.text) +
         decimal_length(event.detail) + 1 + decimal_length(event.flags) + 1;
}

void ReportModel::fill_texts(const EventRecord& record, ReportEvent& event) {
  if (const std::string_view error = error_of(record); !error.empty()) {
    event.flags |= kFlagFailed;
    event.detail = strings_.intern(error);
  }
  const auto path = [&](std::uint8_t field) { return strings_.intern_path(record.text(field)); };
  scratch_.clear();
  switch (record.type) {
    case EventType::kProcessExec:
      return;
    case EventType::kProcessExit:
      event.text = static_cast<std::uint32_t>(record.number(field::process_exit::kExitCode));
      event.detail = static_cast<std::uint32_t>(record.number(field::process_exit::kSignal));
      return;
    case EventType::kFileOpen:
      if (record.number(field::file_open::kIsRead) != 0) event.flags |= kFlagRead;
      if (record.number(field::file_open::kIsWrite) != 0) event.flags |= kFlagWrite;
      event.text = path(field::file_open::kPath);
      return;
    case EventType::kFileRemove:
      event.text = path(field::file_remove::kPath);
      return;
    case EventType::kFileMove:
      event.text = path(field::file_move::kFromPath);
      event.detail = path(field::file_move::kToPath);
      return;
    case EventType::kFileLink:
      event.text = path(field::file_link::kCreatedPath);
      event.detail = path(field::file_link::kExistingPath);
      return;
    case EventType::kUnixSocketConnect:
      event.text = path(field::unix_socket_connect::kPath);
      return;
    case EventType::kNetworkConnect:
    case EventType::kDomain:
    case EventType::kHttpRequest:
      fill_network_texts(record, event);
      return;
    default:
      event.text = strings_.intern(subject_of(record));
  }
}

void ReportModel::fill_network_texts(const EventRecord& record, ReportEvent& event) {
  if (record.type == EventType::kNetworkConnect) {
    namespace f = field::network_connect;
    append_address(scratch_, record.text(f::kRemoteIp), record.number(f::kRemotePort),
                   record.text(f::kProtocol));
    event.text = strings_.intern(scratch_);
    event.detail = strings_.intern(record.text(f::kDomain));
  } else if (record.type == EventType::kDomain) {
    namespace f = field::domain;
    event.text = strings_.intern(record.text(f::kDomain));
    scratch_.append(record.text(f::kQueryType));
    if (!record.text(f::kResult).empty()) {
      scratch_.append(" = ").append(record.text(f::kResult));
      if (!record.text(f::kAnswers).empty()) scratch_.append(" ").append(record.text(f::kAnswers));
    }
    event.detail = strings_.intern(scratch_);
  } else {
    namespace f = field::http_request;
    scratch_.append(record.text(f::kMethod));
    scratch_.append(record.text(f::kSource) == "http" ? " http://" : " https://");
    scratch_.append(record.text(f::kHost)).append(record.text(f::kPath));
    event.text = strings_.intern(scratch_);
    event.detail = strings_.intern(record.text(f::kHost));
  }
}

void ReportModel::add_alert(const EventRecord& record, const CompiledRule& rule) {
  if (alerts_.size() >= kMaxAlerts || page_bytes() >= max_page_bytes_) {
    ++alerts_left_out_;
    return;
  }
  if (!has_last_event_) {
    const CachedProcess by = process_of(*record.process, record.time_ns - record.boot_time_ns);
    append(record, by.process, by.image);
    --left_out_[static_cast<std::size_t>(record.type)];
    has_last_event_ = true;
  }
  const auto event = static_cast<std::uint32_t>(events_.size() - 1);
  alerts_.push_back({event, rule_of(rule)});
  page_bytes_ += kAlertBytes;
  if (values_.empty() || values_.back().event != event) append_values(record);
}

void ReportModel::append_values(const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  std::string json;
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    const FieldInfo& field = info.fields[i];
    const FieldValue& value = record.fields[i];
    if (field.type == FieldType::kString && value.text().empty()) continue;
    json.append(json.empty() ? "\"" : ",\"").append(field.name).append("\":");
    if (field.type == FieldType::kInt) {
      append_number(json, value.number());
    } else if (field.type == FieldType::kBool) {
      json.append(value.number() != 0 ? "true" : "false");
    } else {
      json.push_back('"');
      append_page_json(json, value.text().substr(0, StringTable::kMaxTextBytes));
      json.push_back('"');
    }
  }
  page_bytes_ += json.size() + kAlertBytes;
  values_.push_back({static_cast<std::uint32_t>(events_.size() - 1), std::move(json)});
}

std::uint32_t ReportModel::rule_of(const CompiledRule& rule) {
  const auto found = std::ranges::find(rule_pointers_, &rule);
  if (found == rule_pointers_.end()) {
    rule_pointers_.push_back(&rule);
    rules_.push_back({rule.ruleset_id, rule.rule.rule_id});
    return static_cast<std::uint32_t>(rules_.size() - 1);
  }
  return static_cast<std::uint32_t>(found - rule_pointers_.begin());
}

ReportModel::CachedProcess ReportModel::process_of(const Process& process,
                                                   std::uint64_t boot_epoch_ns) {
  CachedProcess& cached = cache_[process.id % kCacheEntries];
  if (process.id != 0 && cached.id == process.id) return cached;
  // The oldest first, so that each finds its parent. The tracker bounds the chain.
  if (process.parent) process_of(*process.parent, boot_epoch_ns);
  CachedProcess found{process.id, find_or_add_process(process, boot_epoch_ns), 0};
  if (found.process != 0) {
    found.image = image_of(*process.image);
    set_image(found.process, found.image);
  }
  cache_[process.id % kCacheEntries] = found;
  return found;
}

std::uint32_t ReportModel::find_or_add_process(const Process& process,
                                               std::uint64_t boot_epoch_ns) {
  const auto hash_of = [](std::uint64_t start_ns, std::uint32_t pid) { return mix(start_ns, pid); };
  const std::uint32_t found =
      process_index_.find(hash_of(process.start_time_ns, process.pid), [&](std::uint32_t index) {
        const ReportProcess& other = processes_[index];
        return other.pid == process.pid && other.start_ns == process.start_time_ns;
      });
  if (found != IndexTable::kNone) return found;
  if (page_bytes() >= max_page_bytes_ / 100 * 98) return 0;
  ReportProcess added;
  added.start_ns = process.start_time_ns;
  added.start_us = since_start_us(boot_epoch_ns + process.start_time_ns);
  added.pid = process.pid;
  added.uid = process.uid;
  if (process.parent) {
    const std::uint32_t parent = process_index_.find(
        hash_of(process.parent->start_time_ns, process.parent->pid), [&](std::uint32_t index) {
          return processes_[index].pid == process.parent->pid &&
                 processes_[index].start_ns == process.parent->start_time_ns;
        });
    added.parent = parent == IndexTable::kNone ? 0 : parent;
  }
  const auto index = static_cast<std::uint32_t>(processes_.size());
  processes_.push_back(added);
  process_index_.insert(
      index, [&](std::uint32_t i) { return hash_of(processes_[i].start_ns, processes_[i].pid); });
  page_bytes_ += kProcessBytes;
  return index;
}

// A process that runs another program keeps the one before as its past.
void ReportModel::set_image(std::uint32_t process, std::uint32_t image) {
  ReportProcess& of = processes_[process];
  if (of.image == image || image == 0) return;
  for (std::uint32_t past = of.past_image; past != 0; past = past_images_[past].previous) {
    if (past_images_[past].image == image) return;  // a picture taken before the last exec
  }
  if (of.image != 0) {
    past_images_.push_back({of.image, of.past_image});
    of.past_image = static_cast<std::uint32_t>(past_images_.size() - 1);
    page_bytes_ += kImageBytes / 2;
  }
  of.image = image;
}

std::uint32_t ReportModel::image_of(const ExecImage& image) {
  ReportImage made;
  made.path = strings_.intern_path(image.exec_path);
  made.script = strings_.intern_path(image.script_path);
  made.cwd = strings_.intern_path(image.cwd);
  scratch_.clear();
  // The redactor sees them all; shown are the program's own.
  ArgvRedactor redactor(redact_arguments_);
  const std::size_t first = first_argument(image.argv, image.script_path);
  for (std::size_t i = 0; i < image.argv.size(); ++i) {
    if (scratch_.size() > kMaxArgvBytes) {
      scratch_.append(" ...");
      break;
    }
    const std::string_view shown = redactor.next(image.argv[i]);
    if (i < first) continue;
    if (!scratch_.empty()) scratch_.push_back(' ');
    scratch_.append(shown);
  }
  made.arguments = strings_.intern(scratch_);
  const std::uint32_t found = image_index_.find(
      hash_image(made), [&](std::uint32_t i) { return is_same(images_[i], made); });
  if (found != IndexTable::kNone) return found;
  const auto index = static_cast<std::uint32_t>(images_.size());
  images_.push_back(made);
  image_index_.insert(index, [&](std::uint32_t i) { return hash_image(images_[i]); });
  page_bytes_ += kImageBytes;
  return index;
}

}  // namespace cicd
