// SPDX-License-Identifier: Apache-2.0
// Lists and what looks through them. A list that is written out is no value of a Program: what is
// asked of it is asked of its elements, one by one, here.
#include <algorithm>

#include "rule/checker.h"

namespace cicd {

namespace {

constexpr const char* kTooLarge =
    "lists written out inside each other make this condition too large (100000 parts); name them "
    "under lists: and use list.name";

constexpr const char* kTooDeep = "more than 4 exists inside each other would make every event slow";

bool is_list(ValueType type) {
  return type == ValueType::kStringList || type == ValueType::kList ||
         type == ValueType::kAncestorList;
}

}  // namespace

std::uint32_t Checker::check_list(const AstNode& node) {
  Nodes elements;
  bool is_mixed = false;
  bool is_text = !node.children.empty();
  for (const std::uint32_t child : node.children) {
    elements.push_back(check(child));
    const CheckedNode& element = out_[elements.back()];
    if (element.type == ValueType::kError) return error_node();
    if (element.type == ValueType::kProcess || element.type == ValueType::kAncestor ||
        element.type == ValueType::kLists || element.type == ValueType::kStep) {
      return fail(ast_[child], a_type(elements.back()) + " cannot be put into a list");
    }
    is_text &= element.type == ValueType::kString && element.kind == CheckedKind::kLiteral;
    is_mixed |= element.type != type_of(elements.front());
  }
  // Values of several types in one list: each may be compared with anything.
  for (std::size_t i = 0; is_mixed && i < elements.size(); ++i) {
    CheckedNode element = out_[elements[i]];
    element.is_dyn = true;
    elements[i] = add(std::move(element));
  }
  return join(is_text ? CheckedKind::kStrings : CheckedKind::kList,
              is_text ? ValueType::kStringList : ValueType::kList, std::move(elements));
}

std::uint32_t Checker::check_macro(const AstNode& node, CheckedKind kind) {
  if (node.children.size() != 3 || ast_[node.children[1]].kind != AstKind::kName ||
      ast_[node.children[1]].number != 0) {
    return fail(node, node.text + " is written list." + node.text + "(x, condition on x)");
  }
  const std::uint32_t list = check(node.children[0]);
  const ValueType type = type_of(list);
  if (type == ValueType::kError) return error_node();
  if (type == ValueType::kList && out_[list].kind == CheckedKind::kList) {
    return unroll(node, kind, list);
  }
  if (!is_list(type)) {
    return fail(node, node.text + " looks through a list, this is " + a_type(list));
  }
  if (slots_ >= kMaxExistsDepth) {
    return fail(node, kTooDeep);
  }
  CheckedNode out = make(kind, ValueType::kBool, slots_);
  const ValueType element =
      type == ValueType::kStringList ? ValueType::kString : ValueType::kAncestor;
  const std::uint32_t body = check_body(node, {ast_[node.children[1]].text, element, slots_, 0});
  out.children = {list, body};
  return add(std::move(out));
}

std::uint32_t Checker::check_body(const AstNode& node, Variable variable) {
  const std::uint8_t slots = slots_;
  // What is bound is looked at anew inside of macros of the body: these leave its own alone.
  slots_ = variable.slot != kNoVariable ? static_cast<std::uint8_t>(slots_ + 1)
                                        : std::max(slots_, out_[variable.bound].first_free);
  scope_.push_back(variable);
  const std::uint32_t body = check_bool(node.children[2], node.text);
  scope_.pop_back();
  slots_ = slots;
  return body;
}

std::uint32_t Checker::unroll(const AstNode& node, CheckedKind kind, std::uint32_t list) {
  const Nodes elements = out_[list].children;
  const std::string_view name = ast_[node.children[1]].text;
  Nodes bodies;
  if (elements.empty()) {
    check_body(node, {name, ValueType::kError, kNoVariable, error_node()});
    return boolean(kind == CheckedKind::kAll);
  }
  for (const std::uint32_t element : elements) {
    const std::size_t mistakes = mistakes_.size();
    bodies.push_back(check_body(node, {name, type_of(element), kNoVariable, element}));
    if (mistakes_.size() > mistakes) return error_node();  // the others would say the same again
    if (out_.nodes.size() > kMaxConditionNodes) return fail(node, kTooLarge);
  }
  const CheckedKind how = kind == CheckedKind::kExists ? CheckedKind::kOr
                          : kind == CheckedKind::kAll  ? CheckedKind::kAnd
                                                       : CheckedKind::kExactlyOne;
  return require(join(how, ValueType::kBool, std::move(bodies)), elements);
}

std::uint32_t Checker::check_in(const AstNode& node) {
  const std::uint32_t value = check(node.children[0]);
  const std::uint32_t list = check(node.children[1]);
  if (type_of(value) == ValueType::kError || type_of(list) == ValueType::kError) {
    return error_node();
  }
  if (type_of(list) != ValueType::kStringList && type_of(list) != ValueType::kList) {
    return fail(node, "in looks into a list of strings, or one that is written out; this is " +
                          a_type(list));
  }
  if (language_ == RuleLanguage::kPortable) {
    mistakes_.push_back({node.offset,
                         "in belongs to the extended language; write \"language: extended\" into "
                         "the rule set, or list.exists(x, x == value)",
                         true});
  }
  if (type_of(list) == ValueType::kStringList) return is_in_strings(node, value, list);
  const Nodes elements = out_[list].children;
  if (elements.empty()) return require(boolean(false), {value});
  Nodes equal;
  for (const std::uint32_t element : elements) {
    const std::size_t mistakes = mistakes_.size();
    equal.push_back(compare(node, CompareOp::kEqual, value, element));
    if (mistakes_.size() > mistakes) return error_node();
    if (out_.nodes.size() > kMaxConditionNodes) return fail(node, kTooLarge);
  }
  return require(join(CheckedKind::kOr, ValueType::kBool, std::move(equal)), elements);
}

std::uint32_t Checker::is_in_strings(const AstNode& node, std::uint32_t value, std::uint32_t list) {
  if (type_of(value) != ValueType::kString) {
    if (out_[value].is_dyn) return require(boolean(false), {value});
    return fail(node, a_type(value) + " cannot be in a list of strings");
  }
  // The value is looked at for each element, with the variables of its own macros.
  const std::uint8_t slot = std::max(slots_, out_[value].first_free);
  if (slot >= kMaxVariables) return fail(node, kTooDeep);
  CheckedNode out = make(CheckedKind::kExists, ValueType::kBool, slot);
  const std::uint32_t element = add(make(CheckedKind::kVariable, ValueType::kString, slot));
  const std::uint32_t body = join(CheckedKind::kCompare, ValueType::kBool, {element, value});
  out.children = {list, body};
  return require(add(std::move(out)), {value});
}

std::uint32_t Checker::compare_lists(const AstNode& node, std::uint32_t left, std::uint32_t right) {
  const auto is_written = [this](std::uint32_t list) {
    return out_[list].kind == CheckedKind::kList || out_[list].kind == CheckedKind::kStrings;
  };
  if (!is_written(left) || !is_written(right)) {
    if (type_of(left) == ValueType::kStringList && type_of(right) == ValueType::kStringList) {
      return join(CheckedKind::kCompare, ValueType::kBool, {left, right});
    }
    return fail(node, a_type(left) + " cannot be compared with " + a_type(right) +
                          "; lists of strings can, and such that are written out");
  }
  const Nodes lefts = out_[left].children;
  const Nodes rights = out_[right].children;
  Nodes all = lefts;
  all.insert(all.end(), rights.begin(), rights.end());
  if (lefts.size() != rights.size()) return require(boolean(false), all);
  Nodes equal{boolean(true), boolean(true)};
  for (std::size_t i = 0; i < lefts.size(); ++i) {
    const std::size_t mistakes = mistakes_.size();
    equal.push_back(compare(node, CompareOp::kEqual, lefts[i], rights[i]));
    if (mistakes_.size() > mistakes) return error_node();
    if (out_.nodes.size() > kMaxConditionNodes) return fail(node, kTooLarge);
  }
  return require(join(CheckedKind::kAnd, ValueType::kBool, std::move(equal)), all);
}

}  // namespace cicd
