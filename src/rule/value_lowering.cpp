// SPDX-License-Identifier: Apache-2.0
// The part of Lowering that is about operands: where an instruction finds its texts, numbers and
// lists, and what has to be reckoned first.
#include <algorithm>

#include "rule/lowering.h"
#include "rule/normalize.h"

namespace cicd {

TextSource Lowering::text_source(const Source& source, std::uint32_t index) {
  using Kind = TextSource::Kind;
  const CheckedNode& node = source[index];
  const auto of_process = [&](Kind own, Kind element) -> TextSource {
    if (node.variable == kNoVariable) return {own, 0, 0};
    return {element, node.variable, 0};
  };
  switch (node.kind) {
    case CheckedKind::kField:
      return {Kind::kField, node.index, 0};
    case CheckedKind::kExecPath:
      return of_process(Kind::kExecPath, Kind::kElementExecPath);
    case CheckedKind::kCwd:
      return of_process(Kind::kCwd, Kind::kElementCwd);
    case CheckedKind::kStepId:
      return {Kind::kStepId, 0, 0};
    case CheckedKind::kStepName:
      return {Kind::kStepName, 0, 0};
    case CheckedKind::kVariable:
      return {Kind::kElement, node.variable, 0};
    case CheckedKind::kLiteral:
      return {Kind::kLiteral, 0, builder_.literal(node.text)};
    default:
      return {Kind::kValue, 0, value(source, index)};
  }
}

// As they are written, with repeats; nothing for a list that an event brings.
std::optional<std::vector<std::string>> Lowering::written_values(const Source& source,
                                                                 const CheckedNode& list) {
  std::vector<std::string> out;
  if (list.kind == CheckedKind::kNamedList) {
    for (const std::string& value : source.lists.at(list.text)) out.push_back(normalized(value));
  } else if (list.kind == CheckedKind::kStrings) {
    for (const std::uint32_t child : list.children) out.push_back(source[child].text);
  } else {
    return std::nullopt;
  }
  return out;
}

ListSource Lowering::list_source(const Source& source, std::uint32_t index) {
  using Kind = ListSource::Kind;
  const CheckedNode& node = source[index];
  switch (node.kind) {
    case CheckedKind::kNamedList:
    case CheckedKind::kStrings:
      return {Kind::kNamed, 0, builder_.list(*written_values(source, node))};
    case CheckedKind::kAncestors:
      return {Kind::kAncestors, 0, 0};
    case CheckedKind::kDescendants:
      return {Kind::kDescendants, node.variable, 0};
    default:
      if (node.variable == kNoVariable) return {Kind::kArgv, 0, 0};
      return {Kind::kElementArgv, node.variable, 0};
  }
}

std::uint32_t Lowering::compare_values(const Source& source, const CheckedNode& node, bool wanted) {
  Instruction in;
  in.op = Op::kValueCompare;
  in.compare = node.compare;
  in.value = {value(source, node.children[0]), value(source, node.children[1])};
  const std::uint32_t out = builder_.intern(in, {});
  return wanted ? out : guard(source, node, out, wanted);  // no error makes it true
}

std::uint32_t Lowering::compare_lists(const Source& source, const CheckedNode& node) {
  Instruction in;
  in.op = Op::kListCompare;
  in.compare = node.compare;
  in.list = list_source(source, node.children[0]);
  in.other_list = list_source(source, node.children[1]);
  return builder_.intern(in, {});
}

std::uint32_t Lowering::truth_of_value(const Source& source, std::uint32_t index, bool wanted) {
  Instruction in;
  in.op = Op::kValueCompare;
  in.compare = CompareOp::kEqual;
  ValueNode answer;
  answer.type = ValueType::kBool;
  answer.number = wanted;
  in.value = {value(source, index), builder_.value(answer)};
  return builder_.intern(in, {});
}

std::uint32_t Lowering::has_value(const Source& source, std::uint32_t index) {
  Instruction in;
  in.op = Op::kHasValue;
  in.value[0] = value(source, index);
  return builder_.intern(in, {});
}

std::uint32_t Lowering::guard(const Source& source, const CheckedNode& node,
                              std::uint32_t instruction, bool wanted) {
  std::vector<std::uint32_t> parts{wanted ? instruction : builder_.negate(instruction)};
  for (const std::uint32_t child : node.children) {
    if (source[child].can_fail) parts.push_back(has_value(source, child));
  }
  return builder_.join(Op::kAnd, parts);
}

std::uint32_t Lowering::value(const Source& source, std::uint32_t index) {
  const auto known = source.values.find(index);
  if (known != source.values.end()) return known->second;
  const std::uint32_t out = builder_.value(value_node(source, index));
  source.values.emplace(index, out);
  return out;
}

ValueNode Lowering::value_node(const Source& source, std::uint32_t index) {
  const CheckedNode& node = source[index];
  using ValueOp = ValueNode::Op;
  ValueNode out;
  out.type = node.type;
  switch (node.kind) {
    case CheckedKind::kUid:
      out.op = ValueOp::kUid;
      out.index = node.variable;
      return out;
    case CheckedKind::kSize:
      if (source[node.children[0]].type == ValueType::kString) {
        out.op = ValueOp::kTextSize;
        out.first = value(source, node.children[0]);
      } else {
        out.op = ValueOp::kListSize;
        out.list = list_source(source, node.children[0]);
      }
      return out;
    case CheckedKind::kConvert:
    case CheckedKind::kNegate:
      out.op = node.kind == CheckedKind::kConvert ? ValueOp::kConvert : ValueOp::kNegate;
      out.first = value(source, node.children[0]);
      return out;
    case CheckedKind::kRequire: {
      std::vector<std::uint32_t> parts;
      for (std::size_t i = 1; i < node.children.size(); ++i) {
        parts.push_back(has_value(source, node.children[i]));
      }
      out.op = ValueOp::kChoose;
      out.question = builder_.join(Op::kAnd, parts);
      out.otherwise = builder_.constant(false);
      out.first = out.second = value(source, node.children[0]);
      return out;
    }
    default:
      break;
  }
  if (node.type == ValueType::kBool) {
    out.op = ValueOp::kBool;
    out.first = lower(source, index, true);
    out.second = lower(source, index, false);
  } else if (node.kind == CheckedKind::kChoose) {
    out.op = ValueOp::kChoose;
    out.question = lower(source, node.children[0], true);
    out.otherwise = lower(source, node.children[0], false);
    out.first = value(source, node.children[1]);
    out.second = value(source, node.children[2]);
  } else if (node.type == ValueType::kString) {
    out.op = ValueOp::kText;
    out.text = text_source(source, index);
  } else if (node.kind == CheckedKind::kField) {
    out.op = ValueOp::kField;
    out.index = node.index;
  } else {
    out.number = node.number;
  }
  return out;
}

}  // namespace cicd
