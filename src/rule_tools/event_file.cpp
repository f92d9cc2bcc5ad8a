// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/unique_fd.h"
#include "rule/diagnostic.h"

namespace cicd {

namespace {

struct Name {
  std::string path;
  int line = 0;  // 0: none was given
};

Name split(const std::string& argument) {
  struct stat status = {};
  const std::size_t colon = argument.rfind(':');
  if (colon == std::string::npos || ::stat(argument.c_str(), &status) == 0) return {argument, 0};
  int line = 0;
  const char* end = argument.data() + argument.size();
  const auto [stop, failure] = std::from_chars(argument.data() + colon + 1, end, line);
  if (failure != std::errc() || stop != end || line < 1) return {argument, 0};
  return {argument.substr(0, colon), line};
}

// The whole of a short file; of a longer one only `line`, which is what it is for.
Result<std::string> read_text(int fd, int line) {
  std::string text;
  int at = 1;
  std::vector<char> buffer(256 * 1024);
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read");
    if (got == 0) return text;
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (line == 0 || at == line) text += c;
      if (c == '\n' && ++at > line && line != 0) return text;
    }
    if (text.size() > kMaxRowBytes) {
      return fail(ErrorCode::kInvalidInput, "more than 4 MiB; name one line: FILE:LINE");
    }
  }
}

Result<EventFile> from_row(const std::string& text) {
  EventFile out;
  out.reader = std::make_unique<RowReader>();
  const auto row = out.reader->read(text);
  if (!row) {
    const std::size_t newline = text.find('\n');
    const bool is_log = newline != std::string::npos && newline + 1 < text.size() &&
                        RowReader().read(std::string_view(text).substr(0, newline)).has_value();
    if (is_log) {
      return fail(ErrorCode::kInvalidInput, "there is more than one row; name one: FILE:LINE");
    }
    return std::unexpected(row.error());
  }
  if ((*row)->kind == LogRow::Kind::kOther) {
    return fail(ErrorCode::kInvalidInput, "the row is no event");
  }
  out.events.push_back({(*row)->record, 1, {}});
  out.project = (*row)->project;
  out.has_shortened_arguments = (*row)->has_shortened_arguments;
  return out;
}

Result<EventFile> from_log(const Name& name) {
  Result<std::string> text;
  if (name.path == "-") {
    text = read_text(STDIN_FILENO, name.line);
  } else {
    const UniqueFd fd(::open(name.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(errno, "cannot open");
    text = read_text(fd.get(), name.line);
  }
  if (!text) return std::unexpected(text.error());
  return from_row(*text);
}

// The case that stands at this line, or the last one that begins before it.
Result<const TestCase*> case_at(const TestFile& file, int line) {
  const TestCase* best = nullptr;
  std::size_t count = 0;
  for (const RuleTest& test : file.tests) {
    for (const TestCase& one : test.cases) {
      ++count;
      if (line == 0 ? best == nullptr : one.place.line <= line) best = &one;
    }
  }
  if (line == 0 && count > 1) {
    return fail(ErrorCode::kInvalidInput, "the file has " + std::to_string(count) +
                                              " cases; name one by its line: FILE:LINE");
  }
  if (best != nullptr) return best;
  return fail(ErrorCode::kNotFound,
              "there is no case at line " + std::to_string(line) + " or before it");
}

Result<EventFile> from_test(const Name& name) {
  EventFile out;
  out.test_file = read_test_file(name.path);
  const TestFile& file = *out.test_file;
  if (has_errors(file.diagnostics)) {
    return fail(ErrorCode::kInvalidInput, file.diagnostics[0].format(),
                "rule test names all mistakes");
  }
  CICD_ASSIGN(const TestCase* one, case_at(file, name.line));
  // A line inside a job names one of its events.
  const auto named = std::ranges::find_if(
      one->events, [&](const TestEvent& event) { return event.place.line == name.line; });
  if (named != one->events.end() && one->place.line != name.line) {
    out.events = {*named};
  } else {
    out.events = one->events;
  }
  if (out.events.empty()) return fail(ErrorCode::kInvalidInput, "the case has no events");
  out.rules = file.rules;
  out.project = file.project;
  return out;
}

}  // namespace

Result<EventFile> read_event_file(const std::string& argument) {
  const Name name = split(argument);
  const std::string what = "event " + shown(argument);
  const bool is_test = name.path.ends_with(".yaml") || name.path.ends_with(".yml");
  auto out = is_test ? from_test(name) : from_log(name);
  if (!out) return std::unexpected(std::move(out).error().with_context(what));
  return out;
}

}  // namespace cicd
