// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <cerrno>

#include "base/result.h"
#include "rule/rule_files.h"
#include "rule/rule_reader.h"
#include "rule/rule_set.h"
#include "rule/sha256.h"

namespace cicd {

namespace {

void report(LoadedRules& out, Diagnostic::Severity severity, const std::string& file,
            std::string text) {
  add_diagnostic(out.diagnostics, {severity, file, 0, 0, "", std::move(text)});
}

void load_text(const std::string& text, const std::string& name, const LoadOptions& options,
               LoadedRules& out) {
  if (text.size() > kMaxRuleFileBytes) {
    report(out, Diagnostic::Severity::kError, name, kRuleFileTooLarge);
    return;
  }
  const std::string_view body = without_byte_order_mark(text);
  if (const std::size_t broken = find_broken_utf8(body); broken != std::string::npos) {
    const LineIndex::Position at = LineIndex(body).at(broken);
    add_diagnostic(out.diagnostics,
                   {Diagnostic::Severity::kError, name, at.line, at.column, "", kRuleFileNotUtf8});
    return;
  }
  RuleReader(body, name, "sha256:" + sha256_hex(text), options, out).read();
}

void load_file(const std::string& path, const LoadOptions& options, LoadedRules& out) {
  const Result<std::string> text = read_rule_file(path);
  if (!text) {
    report(out, Diagnostic::Severity::kError, path, text.error().text);
    return;
  }
  load_text(*text, path, options, out);
}

void load_directory(const std::string& path, const LoadOptions& options, LoadedRules& out) {
  const Result<std::vector<std::string>> files = list_rule_files(path);
  if (!files) {
    report(out, Diagnostic::Severity::kError, path, files.error().text);
    return;
  }
  if (files->empty()) {
    report(out, Diagnostic::Severity::kWarning, path,
           "the directory has no .yaml or .yml file (directories below it are not read)");
  }
  for (const std::string& file : *files) load_file(file, options, out);
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
