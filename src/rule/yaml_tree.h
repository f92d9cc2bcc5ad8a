// SPDX-License-Identifier: Apache-2.0
// YamlTree: a YAML text as nodes with byte offsets, built for hostile input. It closes what the
// library leaves open: duplicate keys, depth, number of nodes, exceptions.
//
// Aliases are edges to the node they name, so the "tree" may share nodes and even contain a cycle:
// whoever walks it must count its steps (rule_reader.cpp does).
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rule/rule_set.h"

namespace cicd {

inline constexpr int kMaxYamlDepth = 64;
inline constexpr std::size_t kMaxYamlNodes = 1'000'000;

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  bool is_plain = false;             // a scalar without quotes
  std::uint32_t offset = 0;          // byte where it starts in the text
  std::string text;                  // of a scalar
  std::vector<std::uint32_t> items;  // nodes; of a map: key, value, key, value, ...
};

struct YamlMistake {
  std::uint32_t offset = 0;
  std::string text;
};

struct YamlTree {
  std::vector<YamlNode> nodes;
  std::vector<std::uint32_t> documents;  // root nodes
  std::vector<YamlMistake> mistakes;     // any one makes the tree incomplete
};

// `text` is UTF-8 without a byte order mark. Never throws.
YamlTree parse_yaml(std::string_view text);

// Turns byte offsets of a text into lines and columns (from 1; columns in characters), each in a
// bounded number of steps, however long a line is.
class LineIndex {
 public:
  explicit LineIndex(std::string_view text);
  struct Position {
    int line = 1;
    int column = 1;
  };
  Position at(std::size_t offset) const;

 private:
  std::size_t characters_before(std::size_t offset) const;

  std::string_view text_;
  std::vector<std::size_t> starts_;         // of lines
  std::vector<std::uint32_t> checkpoints_;  // characters before every 64th byte
};

// The value of a scalar with the place of each of its parts in the file, whatever its style
// (plain, quoted, literal or folded block).
SourceText place_scalar(std::string_view text, const LineIndex& lines, const YamlNode& scalar,
                        const std::string& file);

}  // namespace cicd
