// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/result.h"
#include "base/unique_fd.h"
#include "rule/rule_reader.h"
#include "rule/rule_set.h"
#include "rule/sha256.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr const char* kTooLarge = "the file is larger than 4 MiB; split it into several files";

void report(LoadedRules& out, Diagnostic::Severity severity, const std::string& file,
            std::string text) {
  add_diagnostic(out.diagnostics, {severity, file, 0, 0, "", std::move(text)});
}

// Reads at most one byte more than a rule file may have, so that /dev/zero ends too.
Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open");
  std::string text;
  char buffer[64 * 1024];
  while (text.size() <= kMaxRuleFileBytes) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read");
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return fail(ErrorCode::kInvalidInput, kTooLarge);
}

// Offset of the first byte that is not UTF-8, or npos.
std::size_t find_broken_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (used <= 0) return at;
    at += static_cast<std::size_t>(used);
  }
  return std::string::npos;
}

void load_text(const std::string& text, const std::string& name, const LoadOptions& options,
               LoadedRules& out) {
  if (text.size() > kMaxRuleFileBytes) {
    report(out, Diagnostic::Severity::kError, name, kTooLarge);
    return;
  }
  std::string_view body = text;
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  if (const std::size_t broken = find_broken_utf8(body); broken != std::string::npos) {
    const LineIndex::Position at = LineIndex(body).at(broken);
    add_diagnostic(out.diagnostics, {Diagnostic::Severity::kError, name, at.line, at.column, "",
                                     "this byte is not UTF-8; save the file in UTF-8"});
    return;
  }
  RuleReader(body, name, "sha256:" + sha256_hex(text), options, out).read();
}

void load_file(const std::string& path, const LoadOptions& options, LoadedRules& out) {
  Result<std::string> text = read_file(path);
  if (!text) {
    report(out, Diagnostic::Severity::kError, path, text.error().text);
    return;
  }
  load_text(*text, path, options, out);
}

void load_directory(const std::string& path, const LoadOptions& options, LoadedRules& out) {
  std::vector<std::string> files;
  std::error_code failure;
  for (fs::directory_iterator entry(path, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::string extension = entry->path().extension().string();
    std::error_code ignored;
    if ((extension == ".yaml" || extension == ".yml") && !entry->is_directory(ignored)) {
      files.push_back(entry->path().string());
    }
  }
  if (failure) {
    report(out, Diagnostic::Severity::kError, path,
           "cannot read the directory: " + failure.message());
    return;
  }
  if (files.empty()) {
    report(out, Diagnostic::Severity::kWarning, path,
           "the directory has no .yaml or .yml file (directories below it are not read)");
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) load_file(file, options, out);
}

}  // namespace

LoadedRules load_rules(const std::vector<std::string>& paths, const LoadOptions& options) {
  LoadedRules out;
  for (const std::string& path : paths) {
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) {
      report(out, Diagnostic::Severity::kError, path,
             fail_errno(errno, "cannot open").error().text);
    } else if (S_ISDIR(status.st_mode)) {
      load_directory(path, options, out);
    } else {
      load_file(path, options, out);
    }
  }
  return out;
}

LoadedRules load_rules_from_text(const std::string& text, const std::string& name,
                                 const LoadOptions& options) {
  LoadedRules out;
  load_text(text, name, options, out);
  return out;
}

}  // namespace cicd
