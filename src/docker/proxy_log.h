// SPDX-License-Identifier: Apache-2.0
// ProxyLog: one JSON object a line on standard error, in the shape of all daemons' logs.
// Threads: one.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/uuid.h"

namespace cicd {

class ProxyLog {
 public:
  using Field = std::pair<std::string_view, std::string_view>;
  explicit ProxyLog(int fd) : fd_(fd) {}

  void info(std::string_view what, std::initializer_list<Field> fields) {
    write("INFO", what, fields);
  }
  void warn(std::string_view what, std::initializer_list<Field> fields) {
    write("WARN", what, fields);
  }
  void error(std::string_view what, std::initializer_list<Field> fields) {
    write("ERROR", what, fields);
  }

 private:
  void write(std::string_view level, std::string_view what, std::initializer_list<Field> fields);

  int fd_;
  UuidV7Generator ids_;
  std::string line_;
};

}  // namespace cicd
