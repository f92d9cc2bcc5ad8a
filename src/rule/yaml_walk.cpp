// SPDX-License-Identifier: Apache-2.0
#include "rule/yaml_walk.h"

#include <charconv>
#include <utility>

namespace cicd {

namespace {

using Kind = YamlNode::Kind;

// Twice what a file without aliases can hold.
constexpr std::size_t kMaxVisits = 2 * kMaxYamlNodes;
constexpr std::size_t kMaxCopiedBytes = 8 * kMaxRuleFileBytes;

const char* name_of_kind(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a single value";
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "";
}

std::string expected(std::string_view what, std::string_view kind, const YamlNode& node) {
  std::string out(what);
  out.append(" must be ").append(kind).append("; here is ");
  if (node.kind != Kind::kScalar) return out + name_of_kind(node.kind);
  return out + '"' + shown(node.text) + '"';
}

}  // namespace

YamlWalk::YamlWalk(std::string_view text, std::string file, std::vector<Diagnostic>& diagnostics)
    : file_(std::move(file)), diagnostics_(diagnostics), lines_(text), tree_(parse_yaml(text)) {
  for (const YamlMistake& mistake : tree_.mistakes) {
    const LineIndex::Position at = lines_.at(mistake.offset);
    add_diagnostic(diagnostics_,
                   {Diagnostic::Severity::kError, file_, at.line, at.column, "", mistake.text});
  }
}

std::vector<const YamlNode*> YamlWalk::documents() const {
  std::vector<const YamlNode*> out;
  for (const std::uint32_t root : tree_.documents) {
    if (tree_.nodes[root].kind != Kind::kNull) out.push_back(&tree_.nodes[root]);
  }
  return out;
}

bool YamlWalk::may_visit(const YamlNode& node, std::size_t copied_bytes) {
  if (has_given_up_) return false;
  copied_bytes_ += copied_bytes;
  if (++visits_ <= kMaxVisits && copied_bytes_ <= kMaxCopiedBytes) return true;
  error(node, "aliases multiply beyond two million values or 32 MiB of text");
  has_given_up_ = true;
  return false;
}

std::vector<YamlWalk::Entry> YamlWalk::entries(const YamlNode& node, std::string_view what) {
  std::vector<Entry> out;
  if (node.kind != Kind::kMap) {
    error(node, expected(what, "a map", node));
    return out;
  }
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const YamlNode& key = tree_.nodes[node.items[i]];
    if (key.kind != Kind::kScalar) continue;  // reported with the tree
    if (!may_visit(key, 0)) return out;
    out.push_back({&key, &tree_.nodes[node.items[i + 1]]});
  }
  return out;
}

std::vector<const YamlNode*> YamlWalk::items(const YamlNode& node, std::string_view what) {
  std::vector<const YamlNode*> out;
  if (node.kind != Kind::kSequence) {
    error(node, expected(what, "a list", node));
    return out;
  }
  for (const std::uint32_t item : node.items) {
    if (!may_visit(tree_.nodes[item], 0)) return out;
    out.push_back(&tree_.nodes[item]);
  }
  return out;
}

std::optional<std::string> YamlWalk::text(const YamlNode& node, std::string_view what) {
  if (node.kind != Kind::kScalar) {
    error(node, expected(what, "a text", node));
    return std::nullopt;
  }
  if (!may_visit(node, node.text.size())) return std::nullopt;
  return node.text;
}

std::optional<bool> YamlWalk::boolean(const YamlNode& node, std::string_view what) {
  if (node.kind == Kind::kScalar && node.is_plain &&
      (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  error(node, expected(what, "true or false", node));
  return std::nullopt;
}

std::optional<std::int64_t> YamlWalk::integer(const YamlNode& node, std::string_view what) {
  if (node.kind == Kind::kScalar && node.is_plain) {
    std::string_view digits = node.text;
    const int base = digits.starts_with("0x") ? 16 : 10;
    if (base == 16) digits.remove_prefix(2);
    std::int64_t value = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    const bool is_whole = end == digits.data() + digits.size() && failure == std::errc();
    if (is_whole && !(base == 16 && digits.starts_with('-'))) return value;
  }
  error(node, expected(what, "a whole number of 64 bits", node));
  return std::nullopt;
}

std::optional<std::int64_t> YamlWalk::integer(const YamlNode& node, std::string_view what,
                                              std::int64_t least, std::int64_t most) {
  const auto value = integer(node, what);
  if (!value || (*value >= least && *value <= most)) return value;
  error(node, std::string(what) + " must be " + std::to_string(least) + " to " +
                  std::to_string(most) + "; here is " + std::to_string(*value));
  return std::nullopt;
}

void YamlWalk::unknown_key(const YamlNode& key, std::string_view what,
                           std::initializer_list<std::string_view> known) {
  std::string names;
  for (const std::string_view name : known) names.append(names.empty() ? "" : ", ").append(name);
  error(key,
        "unknown key \"" + shown(key.text) + "\"; known in " + std::string(what) + ": " + names);
}

void YamlWalk::error(const YamlNode& node, std::string text) {
  if (has_given_up_) return;
  const SourcePlace at = place(node);
  add_diagnostic(diagnostics_,
                 {Diagnostic::Severity::kError, at.file, at.line, at.column, "", std::move(text)});
}

SourcePlace YamlWalk::place(const YamlNode& node) const {
  const LineIndex::Position at = lines_.at(node.offset);
  return {file_, at.line, at.column};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

}  // namespace cicd
