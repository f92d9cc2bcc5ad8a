// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "report/terminal_text.h"
#include "rule/rule_files.h"
#include "rule/sha256.h"

namespace cicd {

namespace {

constexpr std::string_view kHeader =
    "# Made by `cicd-sensorctl rule bundle`: change the files named below, not this one.\n";

struct File {
  std::string name;
  std::string text;  // without byte order mark
};

// A block of text that ends its file without a newline gets one in the bundle.
bool is_same_text(std::string_view a, std::string_view b) {
  const auto trim = [](std::string_view& text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
  };
  trim(a);
  trim(b);
  return a == b;
}

bool is_same_code(const std::optional<SourceText>& a, const std::optional<SourceText>& b) {
  return a.has_value() == b.has_value() && (!a || is_same_text(a->text, b->text));
}

bool is_same_entries(const std::vector<TargetEntry>& a, const std::vector<TargetEntry>& b) {
  return std::ranges::equal(a, b, [](const TargetEntry& x, const TargetEntry& y) {
    return x.provider_host == y.provider_host && is_same_text(x.path, y.path);
  });
}

bool is_same_rule(const Rule& a, const Rule& b) {
  const bool is_same_target =
      a.target.has_value() == b.target.has_value() &&
      (!a.target || (is_same_entries(a.target->include, b.target->include) &&
                     is_same_entries(a.target->exclude, b.target->exclude)));
  return a.rule_id == b.rule_id && is_same_text(a.rule_name, b.rule_name) &&
         is_same_text(a.description, b.description) && a.is_correlation == b.is_correlation &&
         a.event_type == b.event_type && is_same_text(a.condition.text, b.condition.text) &&
         is_same_code(a.exceptions, b.exceptions) && a.action == b.action &&
         a.max_alerts == b.max_alerts && is_same_target &&
         std::ranges::equal(a.tags, b.tags, [](const auto& x, const auto& y) {
           return x.first == y.first && is_same_text(x.second, y.second);
         });
}

bool is_same_set(const RuleSet& a, const RuleSet& b) {
  return a.ruleset_id == b.ruleset_id && std::ranges::equal(a.rules, b.rules, is_same_rule) &&
         std::ranges::equal(a.lists, b.lists, [](const auto& x, const auto& y) {
           return x.first == y.first && std::ranges::equal(x.second, y.second, is_same_text);
         });
}

bool is_same_modifier(const RuleModifier& a, const RuleModifier& b) {
  return a.modifier_id == b.modifier_id && a.disable == b.disable &&
         a.override_action == b.override_action && a.override_max_alerts == b.override_max_alerts &&
         std::ranges::equal(a.targets, b.targets,
                            [](const ModifierTarget& x, const ModifierTarget& y) {
                              return x.ruleset_id == y.ruleset_id && x.rule_id == y.rule_id;
                            }) &&
         std::ranges::equal(a.add_exceptions, b.add_exceptions,
                            [](const SourceText& x, const SourceText& y) {
                              return is_same_text(x.text, y.text);
                            }) &&
         is_same_entries(a.add_target_exclude, b.add_target_exclude);
}

// Nothing is taken on trust: what YAML makes of a file may depend on what stands before it.
Result<void> check_same(const LoadedRules& files, const LoadedRules& bundle) {
  for (const Diagnostic& diagnostic : bundle.diagnostics) {
    if (diagnostic.severity != Diagnostic::Severity::kError) continue;
    return fail(ErrorCode::kInvalidInput,
                "put together, the files cannot be read: " + diagnostic.format());
  }
  if (std::ranges::equal(files.rule_sets, bundle.rule_sets, is_same_set) &&
      std::ranges::equal(files.rule_modifiers, bundle.rule_modifiers, is_same_modifier)) {
    return {};
  }
  return fail(ErrorCode::kInvalidInput, "put together, the files would say something else");
}

std::string too_large(std::vector<File> files, std::size_t bytes, std::size_t max_bytes) {
  std::ranges::sort(files, std::ranges::greater(),
                    [](const File& file) { return file.text.size(); });
  std::string out = "the bundle would have " + with_separators(bytes) +
                    " bytes, a rule file has at most " + with_separators(max_bytes) +
                    "; the largest: ";
  for (std::size_t i = 0; i < std::min<std::size_t>(files.size(), 3); ++i) {
    out +=
        (i == 0 ? "" : ", ") + shown(files[i].name) + " " + with_separators(files[i].text.size());
  }
  return out;
}

std::string put_together(const std::vector<File>& files) {
  std::string out(kHeader);
  for (const File& file : files) {
    out.append("---\n# ").append(shown(file.name)).append("\n").append(file.text);
    if (!file.text.ends_with('\n')) out += '\n';
  }
  return out;
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, "cannot write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return fail_errno(errno, "cannot write");
  return {};
}

}  // namespace

Result<Bundle> make_bundle(const std::string& directory, std::size_t max_bytes) {
  CICD_ASSIGN(const std::vector<std::string> paths, list_rule_files(directory));
  if (paths.empty()) {
    return fail(ErrorCode::kInvalidInput,
                "the directory has no .yaml or .yml file (directories below it are not read)");
  }
  std::vector<File> files;
  LoadedRules loaded;
  for (const std::string& path : paths) {
    auto text = read_rule_file(path);
    if (!text) return std::unexpected(std::move(text).error().with_context(path));
    LoadedRules part = load_rules_from_text(*text, path, {.strict = true});
    std::ranges::move(part.rule_sets, std::back_inserter(loaded.rule_sets));
    std::ranges::move(part.rule_modifiers, std::back_inserter(loaded.rule_modifiers));
    std::ranges::move(part.diagnostics, std::back_inserter(loaded.diagnostics));
    if (text->starts_with('%') || text->find("\n%") != std::string::npos) {
      return fail(ErrorCode::kInvalidInput,
                  path +
                      ": a line begins with %: a YAML directive cannot stand in the middle of a "
                      "bundle; take it out");
    }
    files.push_back({std::filesystem::path(path).filename().string(),
                     std::string(without_byte_order_mark(*text))});
  }
  Bundle out;
  out.files = files.size();
  out.findings = check_rules(loaded);
  if (out.findings.errors > 0) return out;
  out.text = put_together(files);
  if (out.text.size() > max_bytes) {
    return fail(ErrorCode::kInvalidInput, too_large(files, out.text.size(), max_bytes),
                "give a sensor the directory, or two bundles");
  }
  CICD_TRY(check_same(loaded, load_rules_from_text(out.text, "bundle", {.strict = true})));
  out.revision = "sha256:" + sha256_hex(out.text);
  return out;
}

Result<void> write_whole_file(const std::string& path, const std::string& text) {
  std::string draft = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot make a file beside " + path);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  Result<void> written = write_all(fd.get(), text);
  if (written && ::fchmod(fd.get(), 0666 & ~mask) != 0) written = fail_errno(errno, "cannot write");
  if (written && ::rename(draft.c_str(), path.c_str()) != 0) {
    written = fail_errno(errno, "cannot write");
  }
  if (written) return {};
  ::unlink(draft.c_str());
  return std::unexpected(std::move(written).error().with_context(path));
}

}  // namespace cicd
