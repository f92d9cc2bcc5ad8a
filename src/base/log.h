// SPDX-License-Identifier: Apache-2.0
// Log of the daemons: one JSON object a line on standard error: time, level, msg (the name of what
// happened, in snake_case), component, attributes, log_id.
// Threads: any; a line is one write(2).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace cicd {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogAttribute {
  std::string_view name;  // printable ASCII
  std::string_view text;
};

// `component` has static lifetime.
class Log {
 public:
  explicit Log(std::string_view component, LogLevel least = LogLevel::kInfo)
      : component_(component), least_(least) {}

  void debug(std::string_view msg, std::initializer_list<LogAttribute> attributes = {}) const {
    write(LogLevel::kDebug, msg, attributes);
  }
  void info(std::string_view msg, std::initializer_list<LogAttribute> attributes = {}) const {
    write(LogLevel::kInfo, msg, attributes);
  }
  void warn(std::string_view msg, std::initializer_list<LogAttribute> attributes = {}) const {
    write(LogLevel::kWarn, msg, attributes);
  }
  void error(std::string_view msg, std::initializer_list<LogAttribute> attributes = {}) const {
    write(LogLevel::kError, msg, attributes);
  }

 private:
  void write(LogLevel level, std::string_view msg,
             std::initializer_list<LogAttribute> attributes) const;

  std::string_view component_;
  LogLevel least_;
};

// The line, with its newline.
std::string log_line(LogLevel level, std::string_view component, std::string_view msg,
                     std::initializer_list<LogAttribute> attributes, std::uint64_t realtime_ns,
                     std::string_view log_id);

}  // namespace cicd
