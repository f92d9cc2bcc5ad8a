// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include "base/json_writer.h"
#include "base/time_format.h"
#include "base/uuid.h"

namespace cicd {

namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarn:
      return "WARN";
    case LogLevel::kError:
      return "ERROR";
  }
  return "ERROR";
}

}  // namespace

std::string log_line(LogLevel level, std::string_view component, std::string_view msg,
                     std::initializer_list<LogAttribute> attributes, std::uint64_t realtime_ns,
                     std::string_view log_id) {
  std::string line;
  JsonWriter json(line);
  json.begin_object();
  json.time_member("time", realtime_ns);
  json.member("level", name_of(level));
  json.member("msg", msg);
  json.member("component", component);
  for (const LogAttribute& attribute : attributes) json.member(attribute.name, attribute.text);
  json.member("log_id", log_id);
  json.end_object();
  line.push_back('\n');
  return line;
}

void Log::write(LogLevel level, std::string_view msg,
                std::initializer_list<LogAttribute> attributes) const {
  if (level < least_) return;
  thread_local UuidV7Generator ids;
  const std::uint64_t now = realtime_now_ns();
  const std::string line = log_line(level, component_, msg, attributes, now, ids.next(now).view());
  // Nobody is left to tell when this fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace cicd
