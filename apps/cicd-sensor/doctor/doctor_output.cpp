// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"
#include "doctor/doctor.h"

namespace cicd {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kIndent = 8;

const char* mark_of(DoctorCheck::State state) {
  switch (state) {
    case DoctorCheck::State::kGood:
      return "ok";
    case DoctorCheck::State::kFinding:
      return "finding";
    case DoctorCheck::State::kSkipped:
      return "skipped";
  }
  return "";
}

std::string padded(std::string text, std::size_t columns) {
  if (text.size() < columns) text.append(columns - text.size(), ' ');
  return text;
}

// Paragraph at kIndent columns.
void append_wrapped(std::string& out, std::string_view text) {
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (used != 0 && used + 1 + word.size() > kColumns) {
      out += '\n';
      used = 0;
    }
    out.append(used == 0 ? kIndent : 1, ' ');
    used += (used == 0 ? kIndent : 1) + word.size();
    out += word;
  }
  if (used != 0) out += '\n';
}

}  // namespace

std::string doctor_text(const DoctorReport& report) {
  std::string out = "Kernel " + report.kernel_release + "\n";
  for (const DoctorCheck& check : report.checks) {
    out += padded(mark_of(check.state), kIndent) + check.name + "\n";
    append_wrapped(out, check.detail);
    if (!check.hint.empty()) append_wrapped(out, "hint: " + check.hint);
  }
  if (report.coverage.empty()) return out;
  out += "\nWhat serves each type of event\n";
  for (const Coverage& coverage : report.coverage) {
    out += "  " + padded(std::string(info_of(coverage.type).name), 20) + coverage.backend + "\n";
    if (!coverage.limits.empty()) append_wrapped(out, "cannot see: " + coverage.limits);
    if (!coverage.reason.empty()) append_wrapped(out, "reason: " + coverage.reason);
  }
  return out;
}

std::string doctor_json(const DoctorReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.member("kernel_release", report.kernel_release);
  json.key("findings");
  json.boolean(report.has_findings());
  json.key("checks");
  json.begin_array();
  for (const DoctorCheck& check : report.checks) {
    json.begin_object();
    json.member("name", check.name);
    json.member("state", mark_of(check.state));
    json.member("detail", check.detail);
    json.member("hint", check.hint);
    json.end_object();
  }
  json.end_array();
  json.key("coverage");
  json.begin_array();
  for (const Coverage& coverage : report.coverage) {
    json.begin_object();
    json.member("event_type", info_of(coverage.type).name);
    json.key("available");
    json.boolean(coverage.available);
    json.member("backend", coverage.backend);
    json.member("limits", coverage.limits);
    json.member("reason", coverage.reason);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  out += '\n';
  return out;
}

}  // namespace cicd
