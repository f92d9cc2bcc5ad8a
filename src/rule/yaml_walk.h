// SPDX-License-Identifier: Apache-2.0
// YamlWalk: what a reader of a YAML file of ours needs to walk its nodes: maps with known keys,
// lists, values of a type, and a diagnostic with its place for everything else. Bounded: aliases
// make graphs out of files, so visits and copied bytes are counted, and the walk ends with one
// error when there are too many.
//
// Threads: one. Lifetime: the text must outlive it; nodes live as long as it does.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rule/diagnostic.h"
#include "rule/yaml_tree.h"

namespace cicd {

class YamlWalk {
 public:
  struct Entry {
    const YamlNode* key;
    const YamlNode* value;
  };

  // `text` has no byte order mark. Mistakes of YAML itself are in `diagnostics` at once.
  YamlWalk(std::string_view text, std::string file, std::vector<Diagnostic>& diagnostics);

  // Root nodes of the documents that hold something.
  std::vector<const YamlNode*> documents() const;

  // Entries of a map; an error and nothing when it is none. `what` names it in messages.
  std::vector<Entry> entries(const YamlNode& node, std::string_view what);
  // Items of a list. A single value is no list.
  std::vector<const YamlNode*> items(const YamlNode& node, std::string_view what);
  std::optional<std::string> text(const YamlNode& node, std::string_view what);
  std::optional<bool> boolean(const YamlNode& node, std::string_view what);
  std::optional<std::int64_t> integer(const YamlNode& node, std::string_view what);
  // The same with a range, ends included.
  std::optional<std::int64_t> integer(const YamlNode& node, std::string_view what,
                                      std::int64_t least, std::int64_t most);

  void unknown_key(const YamlNode& key, std::string_view what,
                   std::initializer_list<std::string_view> known);
  void error(const YamlNode& node, std::string text);
  SourcePlace place(const YamlNode& node) const;
  bool has_given_up() const { return has_given_up_; }

 private:
  bool may_visit(const YamlNode& node, std::size_t copied_bytes);

  std::string file_;
  std::vector<Diagnostic>& diagnostics_;
  LineIndex lines_;
  YamlTree tree_;
  std::size_t visits_ = 0;
  std::size_t copied_bytes_ = 0;
  bool has_given_up_ = false;
};

// "a, b, c"
std::string joined(const std::vector<std::string>& words);

}  // namespace cicd
