// SPDX-License-Identifier: Apache-2.0
#include "rule/list_scan.h"

namespace cicd {

namespace {

bool is_group(Op op) { return op == Op::kAnd || op == Op::kOr || op == Op::kNot; }

bool is_text_test(const Instruction& in) {
  if (in.op == Op::kTextCompare) {
    return in.compare == CompareOp::kEqual || in.compare == CompareOp::kNotEqual;
  }
  return in.op == Op::kStartsWith || in.op == Op::kEndsWith || in.op == Op::kContains;
}

// As std::string_view has it, but most answers are there after one byte.
bool ends_with(std::string_view text, std::string_view end) {
  if (end.empty()) return true;
  return text.size() >= end.size() && text.back() == end.back() && text.ends_with(end);
}

bool starts_with(std::string_view text, std::string_view start) {
  if (start.empty()) return true;
  return text.size() >= start.size() && text.front() == start.front() && text.starts_with(start);
}

}  // namespace

bool ListScan::prepare(const Code& code, std::uint32_t root, std::uint8_t slot,
                       FunctionRef<std::string_view(const TextSource&)> text) {
  count_ = 0;
  return add(code, root, slot, text);
}

bool ListScan::add(const Code& code, std::uint32_t index, std::uint8_t slot,
                   FunctionRef<std::string_view(const TextSource&)> text) {
  const Instruction& in = code.instructions[index];
  if (count_ == kMaxNodes || in.memo != Memo::kNone) return false;
  Node& node = nodes_[count_++];
  node.op = in.op;
  node.compare = in.compare;
  node.child_count = 0;
  if (is_group(in.op)) {
    if (in.child_count > kMaxNodes) return false;
    for (std::uint32_t i = 0; i < in.child_count; ++i) {
      node.children[node.child_count++] = static_cast<std::uint8_t>(count_);
      if (!add(code, code.children[in.first_child + i], slot, text)) return false;
    }
    return true;
  }
  if (!is_text_test(in)) return false;
  const auto is_element = [&](const TextSource& source) {
    return source.kind == TextSource::Kind::kElement && source.index == slot;
  };
  node.is_left_element = is_element(in.text[0]);
  node.is_right_element = is_element(in.text[1]);
  if (!node.is_left_element) node.left = text(in.text[0]);
  if (!node.is_right_element) node.right = text(in.text[1]);
  return true;
}

bool ListScan::matches(std::size_t index, std::string_view element) const {
  const Node& node = nodes_[index];
  switch (node.op) {
    case Op::kNot:
      return !matches(node.children[0], element);
    case Op::kAnd:
      for (std::size_t i = 0; i < node.child_count; ++i) {
        if (!matches(node.children[i], element)) return false;
      }
      return true;
    case Op::kOr:
      for (std::size_t i = 0; i < node.child_count; ++i) {
        if (matches(node.children[i], element)) return true;
      }
      return false;
    default:
      break;
  }
  const std::string_view left = node.is_left_element ? element : node.left;
  const std::string_view right = node.is_right_element ? element : node.right;
  switch (node.op) {
    case Op::kStartsWith:
      return starts_with(left, right);
    case Op::kEndsWith:
      return ends_with(left, right);
    case Op::kContains:
      return left.find(right) != std::string_view::npos;
    default:
      return (left == right) == (node.compare == CompareOp::kEqual);
  }
}

}  // namespace cicd
