// SPDX-License-Identifier: Apache-2.0
#include "rule/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <unordered_set>

namespace cicd {

namespace {

constexpr std::uint32_t kNoNode = 0xffffffff;

// Reads a string_view without copying it.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // never written: there is no put area
    setg(begin, begin, begin + text.size());
  }
};

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    is_stuck_ = mark.pos == document_start_;
    document_start_ = mark.pos;
    anchors_.clear();
    open_.clear();
    skipped_ = 0;
    root_ = kNoNode;
  }
  void OnDocumentEnd() override {
    if (root_ != kNoNode) tree_.documents.push_back(root_);
  }
  // The library makes empty documents without end out of a token that can begin none (`]`).
  bool is_stuck() const { return is_stuck_; }
  int document_start() const { return document_start_; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    place(add(YamlNode::Kind::kNull, mark, anchor));
  }
  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    if (skipped_ > 0) return;
    place(anchor < anchors_.size() ? anchors_[anchor] : kNoNode);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const std::uint32_t node = add(YamlNode::Kind::kScalar, mark, anchor);
    if (node == kNoNode) return;
    tree_.nodes[node].text = value;
    tree_.nodes[node].is_plain = tag == "?";
    place(node);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kMap, mark, anchor);
  }
  void OnMapEnd() override {
    if (skipped_ == 0 && !open_.empty()) check_keys(tree_.nodes[open_.back()]);
    close();
  }

 private:
  std::uint32_t add(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (skipped_ > 0) return kNoNode;
    const auto offset = static_cast<std::uint32_t>(std::max(mark.pos, 0));
    if (tree_.nodes.size() >= kMaxYamlNodes) {
      if (!too_many_) {
        tree_.mistakes.push_back({offset, "the file has more than 1000000 values; split it"});
      }
      too_many_ = true;
      return kNoNode;
    }
    const auto index = static_cast<std::uint32_t>(tree_.nodes.size());
    YamlNode& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.offset = offset;
    if (anchor != YAML::NullAnchor) {
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1, kNoNode);
      anchors_[anchor] = index;
    }
    return index;
  }

  // Makes `node` the next item of the innermost open collection.
  void place(std::uint32_t node) {
    if (node == kNoNode) return;
    if (open_.empty()) {
      root_ = node;
    } else {
      tree_.nodes[open_.back()].items.push_back(node);
    }
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (skipped_ == 0 && open_.size() >= static_cast<std::size_t>(kMaxYamlDepth)) {
      tree_.mistakes.push_back({static_cast<std::uint32_t>(std::max(mark.pos, 0)),
                                "nested deeper than 64 levels, which no rule file needs"});
      skipped_ = 1;
      return;
    }
    const std::uint32_t node = add(kind, mark, anchor);
    if (node == kNoNode) {
      ++skipped_;
      return;
    }
    place(node);
    open_.push_back(node);
  }

  void close() {
    if (skipped_ > 0) {
      --skipped_;
    } else if (!open_.empty()) {
      open_.pop_back();
    }
  }

  void check_keys(const YamlNode& map) {
    std::unordered_set<std::string_view> seen;
    for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
      const YamlNode& key = tree_.nodes[map.items[i]];
      if (key.kind != YamlNode::Kind::kScalar) {
        tree_.mistakes.push_back({key.offset, "a key must be a plain word"});
      } else if (!seen.insert(key.text).second && key.text != "<<") {
        tree_.mistakes.push_back(
            {key.offset, "key \"" + shown(key.text) + "\" stands twice in the same map"});
      }
    }
  }

  YamlTree& tree_;
  std::vector<std::uint32_t> anchors_;
  std::vector<std::uint32_t> open_;
  std::size_t skipped_ = 0;  // collections open below one that was refused
  std::uint32_t root_ = kNoNode;
  bool too_many_ = false;
  bool is_stuck_ = false;
  int document_start_ = -1;
};

constexpr std::size_t kCheckpointBytes = 64;

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Skips anchors and tags before a scalar.
std::size_t skip_properties(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == '&' || text[at] == '!')) {
    while (at < text.size() && !is_space(text[at])) ++at;
    while (at < text.size() && is_space(text[at])) ++at;
  }
  return at;
}

// Steps over an escape of a double-quoted scalar when it stands for `wanted`.
bool skip_escape(std::string_view text, std::size_t& at, char wanted) {
  if (at + 1 >= text.size() || text[at] != '\\' || text[at + 1] != wanted) return false;
  at += 2;
  return true;
}

}  // namespace

YamlTree parse_yaml(std::string_view text) {
  YamlTree tree;
  TreeBuilder builder(tree);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder) && !builder.is_stuck()) {
    }
    if (builder.is_stuck()) {
      tree.mistakes.push_back({static_cast<std::uint32_t>(std::max(builder.document_start(), 0)),
                               "this is not valid YAML: nothing can begin here"});
    }
  } catch (const YAML::Exception& error) {
    tree.mistakes.push_back({static_cast<std::uint32_t>(std::max(error.mark.pos, 0)),
                             "this is not valid YAML: " + shown(error.msg)});
  } catch (const std::exception& error) {
    tree.mistakes.push_back({0, std::string("the YAML library gave up: ") + shown(error.what())});
  }
  return tree;
}

LineIndex::LineIndex(std::string_view text) : text_(text), starts_{0} {
  std::uint32_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % kCheckpointBytes == 0) checkpoints_.push_back(characters);
    if (starts_character(text[i])) ++characters;
    if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'))) {
      starts_.push_back(i + 1);
    }
  }
  if (text.size() % kCheckpointBytes == 0) checkpoints_.push_back(characters);
}

std::size_t LineIndex::characters_before(std::size_t offset) const {
  std::size_t characters = checkpoints_[offset / kCheckpointBytes];
  for (std::size_t i = offset - offset % kCheckpointBytes; i < offset; ++i) {
    if (starts_character(text_[i])) ++characters;
  }
  return characters;
}

LineIndex::Position LineIndex::at(std::size_t offset) const {
  offset = std::min(offset, text_.size());
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
  const std::size_t column = characters_before(offset) - characters_before(*(after - 1)) + 1;
  return {static_cast<int>(after - starts_.begin()), static_cast<int>(column)};
}

// Every style keeps the characters that are not white space in their order, so value and file are
// walked side by side over those; what lies between is indentation, folding or quoting.
SourceText place_scalar(std::string_view text, const LineIndex& lines, const YamlNode& scalar,
                        const std::string& file) {
  SourceText out;
  out.text = scalar.text;
  out.file = file;
  std::size_t at = skip_properties(text, scalar.offset);
  const char style = at < text.size() ? text[at] : ' ';
  if (style == '|' || style == '>') {
    while (at < text.size() && text[at] != '\n') ++at;
  } else if (style == '\'' || style == '"') {
    ++at;
  }
  std::size_t distance = std::string::npos;  // between the last character in file and value
  for (std::size_t i = 0; i < scalar.text.size(); ++i) {
    const char c = scalar.text[i];
    if (is_space(c)) continue;
    while (at < text.size() && is_space(text[at])) ++at;
    if (at >= text.size()) break;
    const std::size_t start = at;
    if (style == '"' && text[at] == '\\') {
      if (!skip_escape(text, at, c)) break;  // a rarer escape: the last place found must do
    } else if (style == '\'' && c == '\'') {
      at += 2;
    } else if (text[at] == c) {
      ++at;
    } else {
      break;
    }
    if (distance == std::string::npos || start - i != distance) {
      const LineIndex::Position position = lines.at(start);
      out.points.push_back({static_cast<std::uint32_t>(i), position.line, position.column});
    }
    distance = start - i;
  }
  const LineIndex::Position begin =
      out.points.empty() ? lines.at(scalar.offset)
                         : LineIndex::Position{out.points[0].line, out.points[0].column};
  out.line = begin.line;
  out.column = begin.column;
  return out;
}

}  // namespace cicd
