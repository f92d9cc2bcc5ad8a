// SPDX-License-Identifier: Apache-2.0
#include "rule/lowering.h"

#include <algorithm>
#include <utility>

#include "rule/normalize.h"
#include "rule/text_pattern.h"

namespace cicd {

namespace {

using Kind = TextPattern::Kind;

IntSource int_source(const CheckedNode& node) {
  if (node.kind == CheckedKind::kField) return {true, node.index, 0};
  return {false, 0, node.number};
}

bool is_element(const TextSource& source, std::uint8_t slot) {
  return source.kind == TextSource::Kind::kElement && source.index == slot;
}

std::uint8_t bit(std::uint8_t slot) { return static_cast<std::uint8_t>(1u << slot); }

}  // namespace

std::uint32_t Lowering::rule(const Checked& condition, std::span<const Checked> exceptions,
                             const NamedLists& lists) {
  std::vector<std::uint32_t> parts{lower(condition, condition.root, lists)};
  for (const Checked& exception : exceptions) {
    parts.push_back(builder_.negate(lower(exception, exception.root, lists)));
  }
  return builder_.join(Op::kAnd, parts);
}

std::uint32_t Lowering::lower(const Checked& checked, std::uint32_t index,
                              const NamedLists& lists) {
  const CheckedNode& node = checked[index];
  switch (node.kind) {
    case CheckedKind::kLiteral:
      return builder_.constant(node.number != 0);
    case CheckedKind::kField: {
      Instruction in;
      in.op = Op::kBoolField;
      in.field = node.index;
      return builder_.intern(in, {});
    }
    case CheckedKind::kNot:
      return builder_.negate(lower(checked, node.children[0], lists));
    case CheckedKind::kAnd:
    case CheckedKind::kOr:
      return lower_logic(checked, node, lists);
    case CheckedKind::kCompare:
      return lower_compare(checked, node, lists);
    case CheckedKind::kStartsWith:
    case CheckedKind::kEndsWith:
    case CheckedKind::kContains:
    case CheckedKind::kInIpRange:
      return lower_text_test(checked, node);
    case CheckedKind::kExists:
      return lower_exists(checked, node, lists);
    default:
      return builder_.constant(false);  // not of type bool: the checker lets none through
  }
}

std::uint32_t Lowering::lower_logic(const Checked& checked, const CheckedNode& node,
                                    const NamedLists& lists) {
  std::vector<std::uint32_t> children;
  for (const std::uint32_t child : node.children) children.push_back(lower(checked, child, lists));
  return builder_.join(node.kind == CheckedKind::kAnd ? Op::kAnd : Op::kOr, children);
}

std::uint32_t Lowering::lower_compare(const Checked& checked, const CheckedNode& node,
                                      const NamedLists& lists) {
  const CheckedNode& left = checked[node.children[0]];
  const CheckedNode& right = checked[node.children[1]];
  Instruction in;
  in.compare = node.compare;
  if (left.type == ValueType::kBool) {
    in.op = Op::kBoolCompare;
    return builder_.intern(
        in, {lower(checked, node.children[0], lists), lower(checked, node.children[1], lists)});
  }
  if (left.type != ValueType::kInt) return lower_text_compare(left, right, node.compare);
  in.op = Op::kIntCompare;
  in.number = {int_source(left), int_source(right)};
  return builder_.intern(in, {});
}

std::uint32_t Lowering::lower_text_compare(const CheckedNode& left, const CheckedNode& right,
                                           CompareOp compare) {
  TextSource a = text_source(left);
  TextSource b = text_source(right);
  if (compare == CompareOp::kEqual || compare == CompareOp::kNotEqual) {
    if (a.kind == TextSource::Kind::kLiteral) std::swap(a, b);
    if (b.kind == TextSource::Kind::kLiteral) {
      const std::uint32_t equal = builder_.text_in(a, {{Kind::kEqual, b.literal}});
      return compare == CompareOp::kEqual ? equal : builder_.negate(equal);
    }
  }
  Instruction in;
  in.op = Op::kTextCompare;
  in.compare = compare;
  in.text = {a, b};
  return builder_.intern(in, {});
}

std::uint32_t Lowering::lower_text_test(const Checked& checked, const CheckedNode& node) {
  Instruction in;
  in.text[0] = text_source(checked[node.children[0]]);
  if (node.kind == CheckedKind::kInIpRange) {
    in.op = Op::kInIpRange;
    in.index = builder_.prefix(node.prefix);
    return builder_.intern(in, {});
  }
  in.text[1] = text_source(checked[node.children[1]]);
  in.op = node.kind == CheckedKind::kStartsWith ? Op::kStartsWith
          : node.kind == CheckedKind::kEndsWith ? Op::kEndsWith
                                                : Op::kContains;
  if (in.text[1].kind != TextSource::Kind::kLiteral) return builder_.intern(in, {});
  return builder_.text_in(in.text[0], {{*pattern_kind(in), in.text[1].literal}});
}

std::uint32_t Lowering::lower_exists(const Checked& checked, const CheckedNode& node,
                                     const NamedLists& lists) {
  const CheckedNode& list = checked[node.children[0]];
  const std::uint32_t body = lower(checked, node.children[1], lists);
  if (list.kind == CheckedKind::kNamedList) {
    return exists_in(values_of(lists, list.text), node.variable, body);
  }
  Instruction in;
  in.op = Op::kExists;
  in.slot = node.variable;
  in.list = list_source(list);
  return builder_.intern(in, {body});
}

std::uint32_t Lowering::exists_in(ValueList& list, std::uint8_t slot, std::uint32_t body) {
  const std::vector<std::string>& values = list.values;
  if (values.empty()) return builder_.constant(false);
  const Instruction in = builder_.at(body);
  if ((builder_.facts(body).strings & bit(slot)) == 0) return body;
  if (in.op == Op::kOr) {
    std::vector<std::uint32_t> parts;
    for (const std::uint32_t child : builder_.children_of(body)) {
      parts.push_back(exists_in(list, slot, child));
    }
    return builder_.join(Op::kOr, parts);
  }
  if (in.op == Op::kAnd) return exists_all_of(list, slot, body);
  if (known_answer(body, slot, values.front())) {
    return builder_.constant(
        std::any_of(values.begin(), values.end(),
                    [&](const std::string& value) { return *known_answer(body, slot, value); }));
  }
  if (const auto test = exists_test(list, slot, in)) return *test;
  Instruction scan;
  scan.op = Op::kExists;
  scan.slot = slot;
  scan.list = {ListSource::Kind::kNamed, 0, builder_.list(values)};
  return builder_.intern(scan, {body});
}

// What does not ask of the element is asked once, and what asks of nothing else is answered here:
// `d.startsWith(".") && domain.endsWith(d)` is about the part of the list that begins with a dot.
std::uint32_t Lowering::exists_all_of(ValueList& list, std::uint8_t slot, std::uint32_t body) {
  const std::vector<std::string>& values = list.values;
  std::vector<std::uint32_t> outside;
  std::vector<std::uint32_t> rest;
  ValueList left{values, {}};
  for (const std::uint32_t child : builder_.children_of(body)) {
    if ((builder_.facts(child).strings & bit(slot)) == 0) {
      outside.push_back(child);
    } else if (known_answer(child, slot, values.front())) {
      std::erase_if(left.values,
                    [&](const std::string& value) { return !*known_answer(child, slot, value); });
    } else {
      rest.push_back(child);
    }
  }
  if (left.values.empty()) return builder_.constant(false);
  const std::uint32_t inner = builder_.join(Op::kAnd, rest);
  if (builder_.at(inner).op != Op::kAnd) {
    outside.push_back(exists_in(left.values.size() == values.size() ? list : left, slot, inner));
  } else {
    Instruction scan;
    scan.op = Op::kExists;
    scan.slot = slot;
    scan.list = {ListSource::Kind::kNamed, 0, builder_.list(left.values)};
    outside.push_back(builder_.intern(scan, {inner}));
  }
  return builder_.join(Op::kAnd, outside);
}

// `text == e`, `text.startsWith(e)` and so on, for all values of e at once.
std::optional<std::uint32_t> Lowering::exists_test(ValueList& list, std::uint8_t slot,
                                                   const Instruction& test) {
  const auto kind = pattern_kind(test);
  if (!kind) return std::nullopt;
  TextSource text = test.text[0];
  TextSource element = test.text[1];
  if (*kind == Kind::kEqual && is_element(text, slot)) std::swap(text, element);
  if (!is_element(element, slot) || is_element(text, slot)) return std::nullopt;
  if (*kind != Kind::kEqual && list.values.front().empty()) return builder_.constant(true);
  return builder_.text_in(text, set_of(list, *kind));
}

std::uint32_t Lowering::set_of(ValueList& list, Kind kind) {
  std::optional<std::uint32_t>& set = list.sets[static_cast<std::size_t>(kind)];
  if (!set) {
    std::vector<TextPattern> patterns;
    for (const std::string& value : list.values) {
      patterns.push_back({kind, builder_.literal(value)});
    }
    set = builder_.set(std::move(patterns));
  }
  return *set;
}

std::optional<bool> Lowering::known_answer(std::uint32_t instruction, std::uint8_t slot,
                                           const std::string& value) const {
  const Instruction& in = builder_.at(instruction);
  switch (in.op) {
    case Op::kConstant:
      return in.number[0].number != 0;
    case Op::kTextIn:
      if (!is_element(in.text[0], slot)) return std::nullopt;
      return fits_any(builder_.code(), builder_.code().sets[in.index], value);
    case Op::kNot:
    case Op::kAnd:
    case Op::kOr:
      break;
    default:
      return std::nullopt;
  }
  bool all = true;
  bool some = false;
  for (const std::uint32_t child : builder_.children_of(instruction)) {
    const auto answer = known_answer(child, slot, value);
    if (!answer) return std::nullopt;
    all &= *answer;
    some |= *answer;
  }
  return in.op == Op::kNot ? !all : in.op == Op::kAnd ? all : some;
}

TextSource Lowering::text_source(const CheckedNode& node) {
  using Source = TextSource::Kind;
  switch (node.kind) {
    case CheckedKind::kField:
      return {Source::kField, node.index, 0};
    case CheckedKind::kExecPath:
      if (node.variable == kNoVariable) return {Source::kExecPath, 0, 0};
      return {Source::kElementExecPath, node.variable, 0};
    case CheckedKind::kVariable:
      return {Source::kElement, node.variable, 0};
    default:
      return {Source::kLiteral, 0, builder_.literal(node.text)};
  }
}

// Named lists are not asked for here: lower_exists() looks into them.
ListSource Lowering::list_source(const CheckedNode& node) {
  using List = ListSource::Kind;
  switch (node.kind) {
    case CheckedKind::kAncestors:
      return {List::kAncestors, 0, 0};
    case CheckedKind::kDescendants:
      return {List::kDescendants, node.variable, 0};
    default:
      if (node.variable == kNoVariable) return {List::kArgv, 0, 0};
      return {List::kElementArgv, node.variable, 0};
  }
}

Lowering::ValueList& Lowering::values_of(const NamedLists& lists, const std::string& name) {
  const std::vector<std::string>& given = lists.at(name);
  const auto [entry, is_new] = lists_.try_emplace(&given);
  std::vector<std::string>& values = entry->second.values;
  if (!is_new) return entry->second;
  for (const std::string& value : given) values.push_back(normalized(value));
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return entry->second;
}

}  // namespace cicd
