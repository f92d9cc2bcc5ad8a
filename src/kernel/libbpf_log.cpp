// SPDX-License-Identifier: Apache-2.0
#include "kernel/libbpf_log.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <vector>

namespace cicd {

namespace {

constexpr std::size_t kMostKeptBytes = 64 * 1024;
constexpr std::size_t kLastLines = 4;

thread_local LibbpfLog* current_log = nullptr;

int print_to_log(libbpf_print_level level, const char* format, va_list args) {
  if (current_log == nullptr || level > LIBBPF_WARN) return 0;
  std::vector<char> line(16 * 1024);
  va_list measure;
  va_copy(measure, args);
  const int needed = std::vsnprintf(line.data(), line.size(), format, measure);
  va_end(measure);
  if (needed < 0) return 0;
  if (static_cast<std::size_t>(needed) >= line.size()) {
    line.resize(static_cast<std::size_t>(needed) + 1);
    std::vsnprintf(line.data(), line.size(), format, args);
  }
  current_log->append(line.data(), static_cast<std::size_t>(needed));
  return 0;
}

// Lines that frame the verifier's log, and its statistics.
bool says_nothing(std::string_view line) {
  return line.empty() || line.find("PROG LOAD LOG") != std::string_view::npos ||
         line.starts_with("processed ") ||
         line.find("failed to load object") != std::string_view::npos;
}

}  // namespace

LibbpfLog::LibbpfLog() {
  current_log = this;
  ::libbpf_set_print(print_to_log);
}

LibbpfLog::~LibbpfLog() { current_log = nullptr; }

void LibbpfLog::append(const char* text, std::size_t bytes) {
  text_.append(text, bytes);
  if (text_.size() > kMostKeptBytes) text_.erase(0, text_.size() - kMostKeptBytes);
}

std::string LibbpfLog::last_lines() const {
  std::vector<std::string_view> lines;
  std::string_view rest = text_;
  while (!rest.empty() && lines.size() < kLastLines) {
    const std::size_t end = rest.find_last_not_of("\r\n");
    if (end == std::string_view::npos) break;
    rest = rest.substr(0, end + 1);
    const std::size_t begin = rest.find_last_of('\n');
    const std::string_view line = begin == std::string_view::npos ? rest : rest.substr(begin + 1);
    if (!says_nothing(line)) lines.push_back(line);
    if (begin == std::string_view::npos) break;
    rest = rest.substr(0, begin);
  }
  if (lines.empty()) return {};
  std::reverse(lines.begin(), lines.end());
  std::string out = " (";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i != 0) out += "; ";
    out += lines[i];
  }
  return out + ")";
}

}  // namespace cicd
