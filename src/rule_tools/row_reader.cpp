// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/row_reader.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/time_format.h"
#include "base/utf8.h"
#include "event/redact.h"
#include "evidence/row_writer.h"
#include "rule/diagnostic.h"

namespace cicd {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxCachedProcesses = 4'096;
constexpr std::size_t kMaxCachedBytes = 32u << 20;

// What names a job, in the order of the log format. The last one that is there tells runs apart.
constexpr const char* kJobMembers[] = {
    "provider",   "provider_host",      "project_path",
    "github_job", "github_run_attempt", "github_runner_tracking_id",
    "job_key",    "github_run_id",      "gitlab_job_id"};

// Appends so that no two lists of texts make the same key.
void append_key(std::string& key, std::string_view text) {
  key.append(std::to_string(text.size())).append(1, ':').append(text);
}

}  // namespace

bool is_shortened_argument(std::string_view argument) {
  if (argument == ArgvRedactor::kRedacted) return true;
  const std::size_t cut = argument.rfind("<truncated, ");
  return cut != std::string_view::npos &&
         (argument.ends_with(" bytes>") || argument.ends_with(" arguments>"));
}

// One row. Mistakes are kept until its end: the first one is the row's.
class RowReader::Parser {
 public:
  Parser(RowReader& reader, LogRow& row) : reader_(reader), row_(row) {}

  Result<void> parse(std::string_view line) {
    json root;
    try {
      root = json::parse(line);
    } catch (const json::parse_error& error) {
      return fail(ErrorCode::kInvalidInput,
                  "this is not JSON (at byte " + std::to_string(error.byte) + ")");
    } catch (const std::exception& error) {
      return fail(ErrorCode::kInvalidInput, "this is not JSON: " + shown(error.what()));
    }
    if (!root.is_object()) return fail(ErrorCode::kInvalidInput, "the row is no JSON object");
    read_row(root);
    if (mistake_.empty()) return {};
    return fail(ErrorCode::kInvalidInput, std::move(mistake_));
  }

 private:
  void mistake(std::string text) {
    if (mistake_.empty()) mistake_ = std::move(text);
  }
  void wrong_type(std::string_view name, const char* wanted) {
    mistake("member " + std::string(name) + " is not " + wanted);
  }

  // Null when it is not there.
  const json* member(const json& object, std::string_view name) {
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
  }
  // Null when it is missing or no object; the first is a mistake when it is `needed`.
  const json* object(const json& parent, std::string_view name, bool needed) {
    const json* found = member(parent, name);
    if (found == nullptr) {
      if (needed) mistake("the row has no member " + std::string(name));
      return nullptr;
    }
    if (!found->is_object()) {
      wrong_type(name, "an object");
      return nullptr;
    }
    return found;
  }

  // The exact bytes, where the text has lost some.
  std::string text(const json& parent, std::string_view name) {
    const json* found = member(parent, name);
    if (found == nullptr) return {};
    if (!found->is_string()) {
      wrong_type(name, "a text");
      return {};
    }
    if (const json* exact = member(parent, std::string(name) + "_base64")) {
      if (exact->is_string()) {
        if (auto bytes = decode_base64(exact->get_ref<const std::string&>())) return *bytes;
      }
      wrong_type(std::string(name) + "_base64", "base64");
    }
    return found->get<std::string>();
  }

  std::int64_t number(const json& parent, std::string_view name) {
    const json* found = member(parent, name);
    if (found == nullptr) return 0;
    std::int64_t out = 0;
    if (found->is_number_unsigned()) {
      const auto value = found->get<std::uint64_t>();
      if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return static_cast<std::int64_t>(value);
      }
    } else if (found->is_number_integer()) {
      return found->get<std::int64_t>();
    } else if (found->is_string()) {  // as numbers of 64 bits are written
      const std::string& digits = found->get_ref<const std::string&>();
      const auto [end, failure] =
          std::from_chars(digits.data(), digits.data() + digits.size(), out);
      if (failure == std::errc() && end == digits.data() + digits.size()) return out;
    }
    wrong_type(name, "a whole number of 64 bits");
    return 0;
  }

  std::uint32_t small_number(const json& parent, std::string_view name) {
    const std::int64_t value = number(parent, name);
    if (value >= 0 && value <= std::numeric_limits<std::uint32_t>::max()) {
      return static_cast<std::uint32_t>(value);
    }
    wrong_type(name, "a number of 32 bits");
    return 0;
  }

  std::uint64_t time(const json& parent, std::string_view name, bool needed) {
    const std::string value = text(parent, name);
    if (value.empty() && !needed) return 0;
    const auto out = parse_rfc3339(value);
    if (!out) wrong_type(name, "a time");
    return out.value_or(0);
  }

  std::vector<std::string> texts(const json& parent, std::string_view name) {
    std::vector<std::string> out;
    const json* list = member(parent, name);
    if (list == nullptr) return out;
    const json* exact = member(parent, std::string(name) + "_base64");
    const json& source = exact == nullptr ? *list : *exact;
    if (!source.is_array()) {
      wrong_type(name, "a list");
      return out;
    }
    for (const json& item : source) {
      if (!item.is_string()) {
        wrong_type(name, "a list of texts");
        return out;
      }
      const std::string& value = item.get_ref<const std::string&>();
      auto bytes = exact == nullptr ? value : decode_base64(value);
      if (!bytes) wrong_type(std::string(name) + "_base64", "a list of base64");
      out.push_back(bytes.value_or(""));
    }
    return out;
  }

  void read_row(const json& root) {
    const std::string type = text(root, "log_type");
    if (!type.starts_with("cicd_sensor.")) {
      return mistake("log_type is none of cicd_sensor: this is no row of the log format");
    }
    const bool is_detection = type == "cicd_sensor.detection";
    if (!is_detection && type != "cicd_sensor.runtime_event") return;
    if (const std::string version = text(root, "schema_version"); version != "v1") {
      return mistake("schema_version is \"" + shown(version) + "\"; this program reads v1");
    }
    row_.kind = is_detection ? LogRow::Kind::kDetection : LogRow::Kind::kEvent;
    if (is_detection) {
      row_.ruleset_id = text(root, "ruleset_id");
      row_.rule_id = text(root, "rule_id");
      row_.rule_name = text(root, "rule_name");
      row_.rule_description = text(root, "rule_description");
    }
    // A job has a log for each of its scopes, with the same events.
    append_key(row_.job_key, text(root, "scope"));
    if (const json* job = object(root, "job", false)) read_job(*job);
    row_.record.time_ns = time(root, "timestamp", true);
    // Starts of processes are times of the wall clock here, too.
    row_.record.boot_time_ns = row_.record.time_ns;
    if (const json* event = object(root, "event", true)) read_event(*event);
  }

  void read_job(const json& job) {
    std::string last;
    for (const char* name : kJobMembers) {
      std::string value = text(job, name);
      append_key(row_.job_key, value);
      if (!value.empty()) last = std::move(value);
    }
    row_.project.provider_host = text(job, "provider_host");
    row_.project.project_path = text(job, "project_path");
    row_.job_name = row_.project.project_path;
    if (last != row_.job_name) row_.job_name += (row_.job_name.empty() ? "" : " ") + last;
  }

  void read_event(const json& event) {
    const std::string name = text(event, "type");
    const auto type = event_type_by_name(name);
    if (!type) return mistake("unknown event type \"" + shown(name) + "\"");
    row_.event_id = text(event, "id");
    row_.record.type = *type;
    for (const std::string& tag : texts(event, "tags")) {
      row_.record.marks |= mark_of_tag(tag);
      if (tag.starts_with("truncated:argv")) row_.has_shortened_arguments = true;
    }
    if (const json* process = object(event, "process", true)) read_process(*process);
    if (const json* step = object(event, "step", false)) {
      row_.record.step = std::make_shared<Step>(text(*step, "id"), text(*step, "name"));
    }
    const EventTypeInfo& info = info_of(*type);
    const json* payload = object(event, info.name, false);
    for (std::size_t i = 0; payload != nullptr && i < info.fields.size(); ++i) {
      read_field(*payload, info.fields[i], i);
    }
  }

  void read_field(const json& payload, const FieldInfo& field, std::size_t i) {
    FieldValue& out = row_.record.fields[i];
    if (field.type == FieldType::kString) {
      reader_.texts_[i] = text(payload, field.json_name);
      out = reader_.texts_[i];
    } else if (field.type == FieldType::kInt) {
      out = number(payload, field.json_name);
    } else if (const json* found = member(payload, field.json_name)) {
      if (!found->is_boolean()) return wrong_type(field.json_name, "true or false");
      out = found->get<bool>() ? 1 : 0;
    }
  }

  std::shared_ptr<ExecImage> read_image(const json& process) {
    auto image = std::make_shared<ExecImage>();
    image->exec_path = text(process, "exec_path");
    image->argv = texts(process, "argv");
    image->cwd = text(process, "cwd");
    append_key(key_, image->exec_path);
    append_key(key_, image->cwd);
    for (const std::string& argument : image->argv) {
      append_key(key_, argument);
      if (is_shortened_argument(argument)) row_.has_shortened_arguments = true;
    }
    key_.append(1, '/');
    return image;
  }

  void read_process(const json& process) {
    std::vector<std::shared_ptr<ExecImage>> images = {read_image(process)};
    if (const json* ancestors = member(process, "ancestors")) {
      if (!ancestors->is_array()) return wrong_type("ancestors", "a list");
      if (ancestors->size() > kMaxAncestorDepth) {
        return mistake("more than " + std::to_string(kMaxAncestorDepth) +
                       " ancestors, which no sensor writes");
      }
      for (const json& ancestor : *ancestors) {
        if (!ancestor.is_object()) return wrong_type("ancestors", "a list of objects");
        images.push_back(read_image(ancestor));
      }
    }
    row_.has_most_ancestors = images.size() > kMaxAncestorsInRow;
    const std::uint32_t pid = small_number(process, "pid");
    const std::uint32_t uid = small_number(process, "uid");
    const std::uint64_t start = time(process, "start_time", false);
    for (const std::uint64_t part : {std::uint64_t{pid}, std::uint64_t{uid}, start}) {
      append_key(key_, std::to_string(part));
    }
    if (!mistake_.empty()) return;
    reader_.make_room(key_.size());
    ProcessRef& known = reader_.processes_[key_];
    if (!known) {
      known = make_process(images, pid, uid, start);
      reader_.cached_bytes_ += key_.size();
    }
    row_.record.process = known;
  }

  ProcessRef make_process(const std::vector<std::shared_ptr<ExecImage>>& images, std::uint32_t pid,
                          std::uint32_t uid, std::uint64_t start) {
    ProcessRef above;
    for (std::size_t i = images.size(); i-- > 0;) {
      auto made = std::make_shared<Process>();
      made->id = ++reader_.last_id_;
      made->image = images[i];
      made->depth = above ? above->depth + 1 : 0;
      made->parent = std::move(above);
      if (i == 0) {
        made->pid = pid;
        made->uid = uid;
        made->start_time_ns = start;
      }
      above = std::move(made);
    }
    return above;
  }

  RowReader& reader_;
  LogRow& row_;
  std::string key_;  // of the process
  std::string mistake_;
};

void RowReader::make_room(std::size_t bytes) {
  if (processes_.size() < kMaxCachedProcesses && cached_bytes_ + bytes <= kMaxCachedBytes) return;
  processes_.clear();
  cached_bytes_ = 0;
}

Result<const LogRow*> RowReader::read(std::string_view line) {
  row_ = LogRow();
  if (line.size() > kMaxRowBytes) {
    return fail(ErrorCode::kInvalidInput, "the row is longer than 4 MiB");
  }
  CICD_TRY(Parser(*this, row_).parse(line));
  return &row_;
}

}  // namespace cicd
