// SPDX-License-Identifier: Apache-2.0
#include "evidence/process_json.h"

#include <charconv>
#include <cstring>

#include "base/time_format.h"
#include "event/redact.h"
#include "evidence/row_writer.h"

namespace cicd {

namespace {

std::string_view truncation_text(std::size_t arguments, std::span<char, 64> buffer) {
  char* out = buffer.data();
  const auto put = [&](std::string_view text) {
    std::memcpy(out, text.data(), text.size());
    out += text.size();
  };
  put("<truncated, ");
  out = std::to_chars(out, out + 20, arguments).ptr;
  put(" arguments>");
  return {buffer.data(), static_cast<std::size_t>(out - buffer.data())};
}

// How many of the arguments fit into `max_bytes`, with one byte each for their end.
std::size_t fitting(std::span<const std::string> argv, std::size_t max_bytes) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < argv.size(); ++i) {
    used += argv[i].size() + 1;
    if (used > max_bytes) return i;
  }
  return argv.size();
}

// Calls `write` with each element as it is to be written.
template <typename Write>
void for_each_shown(std::span<const std::string> argv, bool redact, std::size_t shown,
                    Write write) {
  ArgvRedactor redactor(redact);
  for (std::size_t i = 0; i < shown; ++i) write(redactor.next(argv[i]));
  if (shown == argv.size()) return;
  char buffer[64];
  write(truncation_text(argv.size() - shown, buffer));
}

void append_ancestor(JsonWriter& json, const ExecImage& image, bool redact) {
  json.begin_object();
  json.member_if("exec_path", image.exec_path);
  append_argv(json, "argv", image.argv, redact, kMaxAncestorArgvBytes);
  json.end_object();
}

}  // namespace

bool fits(std::span<const std::string> argv, std::size_t max_bytes) {
  return fitting(argv, max_bytes) == argv.size();
}

void append_argv(JsonWriter& json, std::string_view name, std::span<const std::string> argv,
                 bool redact, std::size_t max_bytes) {
  if (argv.empty()) return;
  const std::size_t shown = fitting(argv, max_bytes);
  bool is_exact = true;
  json.key(name);
  json.begin_array();
  for_each_shown(argv, redact, shown, [&](std::string_view text) {
    if (!json.string(text)) is_exact = false;
  });
  json.end_array();
  if (is_exact) return;
  json.key_base64(name);
  json.begin_array();
  for_each_shown(argv, redact, shown, [&](std::string_view text) { json.base64(text); });
  json.end_array();
}

void append_process_object(JsonWriter& json, const Process& process, std::uint64_t boot_epoch_ns,
                           bool redact, std::size_t max_argv_bytes) {
  const ExecImage& image = *process.image;
  json.begin_object();
  if (process.pid != 0) json.member_number("pid", process.pid);
  json.member_if("exec_path", image.exec_path);
  append_argv(json, "argv", image.argv, redact, max_argv_bytes);
  if (process.parent) {
    json.key("ancestors");
    json.begin_array();
    const Process* ancestor = process.parent.get();
    for (int i = 0; ancestor != nullptr && i < kMaxAncestorsInRow; ++i) {
      append_ancestor(json, *ancestor->image, redact);
      ancestor = ancestor->parent.get();
    }
    json.end_array();
  }
  json.member_number("uid", process.uid);
  json.member_if("cwd", image.cwd);
  if (process.start_time_ns != 0) {
    json.time_member("start_time", boot_epoch_ns + process.start_time_ns);
  }
  json.end_object();
}

}  // namespace cicd
