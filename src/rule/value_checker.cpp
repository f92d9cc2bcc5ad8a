// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "rule/checker.h"
#include "rule/pattern.h"

namespace cicd {

namespace {

bool is_number(ValueType type) {
  return type == ValueType::kInt || type == ValueType::kUint || type == ValueType::kDouble;
}
bool is_scalar(ValueType type) {
  return is_number(type) || type == ValueType::kBool || type == ValueType::kString ||
         type == ValueType::kDuration;
}
bool is_list(ValueType type) { return type == ValueType::kStringList || type == ValueType::kList; }
bool is_equality(CompareOp op) { return op == CompareOp::kEqual || op == CompareOp::kNotEqual; }

// What type() says of it.
std::string_view type_name(ValueType type) {
  switch (type) {
    case ValueType::kDuration:
      return "google.protobuf.duration";
    case ValueType::kStringList:
    case ValueType::kList:
    case ValueType::kAncestorList:
      return "list";
    case ValueType::kProcess:
    case ValueType::kAncestor:
    case ValueType::kLists:
    case ValueType::kStep:
      return "map";
    default:
      return name_of(type);
  }
}

// Conversions that there are, besides that of a value to its own type.
bool converts(ValueType from, ValueType to) {
  switch (to) {
    case ValueType::kInt:
    case ValueType::kUint:
    case ValueType::kDouble:
      return is_number(from) || from == ValueType::kString;
    case ValueType::kBool:
    case ValueType::kDuration:
      return from == ValueType::kString;
    case ValueType::kString:
      return is_scalar(from);
    default:
      return false;
  }
}

// Those that some values of `from` have no answer to.
bool can_fail(ValueType from, ValueType to) {
  if (from == to || to == ValueType::kString) return false;
  return from == ValueType::kString || to != ValueType::kDouble;
}

}  // namespace

std::uint32_t Checker::check_compare(const AstNode& node) {
  const std::uint32_t left = check(node.children[0]);
  const std::uint32_t right = check(node.children[1]);
  return compare(node, node.compare, left, right);
}

std::uint32_t Checker::compare(const AstNode& node, CompareOp op, std::uint32_t left,
                               std::uint32_t right) {
  const ValueType type = type_of(left);
  const ValueType other = type_of(right);
  if (type == ValueType::kError || other == ValueType::kError) return error_node();
  if (is_list(type) && is_list(other)) {
    if (!is_equality(op)) return fail(node, "lists have no order; compare them with == or !=");
    const std::uint32_t out = compare_lists(node, left, right);
    return op == CompareOp::kEqual || type_of(out) == ValueType::kError
               ? out
               : join(CheckedKind::kNot, ValueType::kBool, {out});
  }
  if (type == ValueType::kType && other == ValueType::kType) {
    return compare_types(node, op, left, right);
  }
  if ((type == other && is_scalar(type)) || (is_number(type) && is_number(other))) {
    CheckedNode out = make(CheckedKind::kCompare, ValueType::kBool);
    out.compare = op;
    out.children = {left, right};
    return add(std::move(out));
  }
  const auto is_value = [](ValueType of) {
    return is_scalar(of) || is_list(of) || of == ValueType::kType;
  };
  if (!is_value(type) || !is_value(other)) {
    return fail(node, a_type(is_value(type) ? right : left) +
                          " cannot be compared; look into it with exists or name a part of it");
  }
  if (!out_[left].is_dyn && !out_[right].is_dyn) {
    return fail(node, a_type(left) + " cannot be compared with " + a_type(right) +
                          (type == ValueType::kString || other == ValueType::kString
                               ? "; int() makes a number of a string, string() a string of a number"
                               : ""));
  }
  if (is_equality(op)) return require(boolean(op == CompareOp::kNotEqual), {left, right});
  CheckedNode never = make(CheckedKind::kNever, ValueType::kBool);
  never.can_fail = true;
  return add(std::move(never));
}

std::uint32_t Checker::compare_types(const AstNode& node, CompareOp op, std::uint32_t left,
                                     std::uint32_t right) {
  if (!is_equality(op)) return fail(node, "types have no order; compare them with == or !=");
  const bool equal = out_[left].text == out_[right].text;
  return require(boolean(equal == (op == CompareOp::kEqual)), {left, right});
}

std::uint32_t Checker::check_choose(const AstNode& node) {
  const std::uint32_t question = check_bool(node.children[0], "the part before ?");
  const std::uint32_t yes = check(node.children[1]);
  const std::uint32_t no = check(node.children[2]);
  if (type_of(question) == ValueType::kError || type_of(yes) == ValueType::kError ||
      type_of(no) == ValueType::kError) {
    return error_node();
  }
  if (type_of(yes) != type_of(no)) {
    return fail(node, "both sides of the : must be of one type, here they are " + a_type(yes) +
                          " and " + a_type(no));
  }
  if (!is_scalar(type_of(yes))) {
    return fail(node, "?: chooses between texts, numbers and conditions, not between two of " +
                          a_type(yes) + "; choose between the conditions on them");
  }
  return join(CheckedKind::kChoose, type_of(yes), {question, yes, no});
}

std::uint32_t Checker::check_negate(const AstNode& node) {
  const std::uint32_t of = check(node.children[0]);
  const ValueType type = type_of(of);
  if (type == ValueType::kError) return error_node();
  if (type != ValueType::kInt && type != ValueType::kDouble) {
    return fail(node, "a minus sign stands before an int or a double, this is " + a_type(of));
  }
  CheckedNode out = make(CheckedKind::kNegate, type);
  out.children = {of};
  out.can_fail = type == ValueType::kInt;  // of the least of them
  return add(std::move(out));
}

std::uint32_t Checker::check_conversion(const AstNode& node) {
  if (node.text == "bytes") {
    return fail(node, "bytes() is not supported; fields are text, compare them as it is");
  }
  if (node.text == "timestamp") {
    return fail(node,
                "timestamp() is not supported; no field is a time, and in portable rules it "
                "fails because text is lower-cased");
  }
  if (node.children.size() != 1) return fail(node, node.text + "() takes one value");
  const std::uint32_t of = check(node.children[0]);
  const ValueType from = type_of(of);
  if (from == ValueType::kError) return error_node();
  if (node.text == "dyn") {
    CheckedNode out = out_[of];
    out.is_dyn = true;
    return add(std::move(out));
  }
  if (node.text == "type") {
    CheckedNode out = make(CheckedKind::kLiteral, ValueType::kType);
    out.text = type_name(from);
    const std::uint32_t name = add(std::move(out));
    return require(name, {of});
  }
  const ValueType to = node.text == "int"      ? ValueType::kInt
                       : node.text == "uint"   ? ValueType::kUint
                       : node.text == "double" ? ValueType::kDouble
                       : node.text == "string" ? ValueType::kString
                       : node.text == "bool"   ? ValueType::kBool
                                               : ValueType::kDuration;
  if (from == to) return of;
  if (!converts(from, to)) {
    return fail(node, a_type(of) + " cannot be converted with " + node.text + "()");
  }
  CheckedNode out = make(CheckedKind::kConvert, to);
  out.children = {of};
  out.can_fail = can_fail(from, to);
  return add(std::move(out));
}

std::uint32_t Checker::check_size(const AstNode& node) {
  if (!is_extended(node, "size", "ask with exists or compare the text")) return error_node();
  if (node.children.size() != 1) return fail(node, "size takes one text or list: size(path)");
  const std::uint32_t of = check(node.children[0]);
  const ValueType type = type_of(of);
  if (type == ValueType::kError) return error_node();
  if (out_[of].kind == CheckedKind::kList || out_[of].kind == CheckedKind::kStrings) {
    CheckedNode count = make(CheckedKind::kLiteral, ValueType::kInt);
    count.number = static_cast<std::int64_t>(out_[of].children.size());
    const Nodes elements = out_[of].children;
    return require(add(std::move(count)), elements);
  }
  if (type != ValueType::kString && type != ValueType::kStringList &&
      type != ValueType::kAncestorList) {
    return fail(node, "size is that of a text or a list, this is " + a_type(of));
  }
  return join(CheckedKind::kSize, ValueType::kInt, {of});
}

// text.matches("pattern") or matches(text, "pattern")
std::uint32_t Checker::check_matches(const AstNode& node) {
  if (!is_extended(node, "matches (regular expressions)", "use startsWith, endsWith or contains")) {
    return error_node();
  }
  if (node.children.size() != 2)
    return fail(node, "matches takes a pattern: path.matches(r\"...\")");
  const std::uint32_t text = check(node.children[0]);
  const AstNode& pattern = ast_[node.children[1]];
  if (type_of(text) == ValueType::kError || pattern.kind == AstKind::kError) return error_node();
  if (type_of(text) != ValueType::kString) {
    return fail(node, "matches works on a string, not on " + a_type(text));
  }
  if (pattern.kind != AstKind::kString) {
    return fail(pattern, "the pattern of matches must be written out: path.matches(r\"...\")");
  }
  if (const auto mistake = Pattern::mistake_in(pattern.text)) {
    AstNode at = pattern;
    if (pattern.number != 0)
      at.offset = static_cast<std::uint32_t>(pattern.number) + mistake->offset;
    return fail(at, mistake->text);
  }
  CheckedNode out = make(CheckedKind::kMatches, ValueType::kBool);
  out.text = pattern.text;
  out.children = {text};
  return add(std::move(out));
}

std::uint32_t Checker::check_text_test(const AstNode& node, CheckedKind kind) {
  if (node.children.size() != 2) return fail(node, node.text + " takes one argument");
  const std::uint32_t left = check(node.children[0]);
  const std::uint32_t right = check(node.children[1]);
  if (type_of(left) == ValueType::kError || type_of(right) == ValueType::kError) {
    return error_node();
  }
  if (type_of(left) != ValueType::kString) {
    return fail(node, node.text + " works on a string, not on " + a_type(left));
  }
  if (type_of(right) != ValueType::kString) {
    return fail(ast_[node.children[1]], node.text + " takes a string, not " + a_type(right));
  }
  return join(kind, ValueType::kBool, {left, right});
}

std::uint32_t Checker::check_in_ip_range(const AstNode& node) {
  if (node.children.size() != 2) {
    return fail(node,
                "inIpRange takes an address and a range: inIpRange(remote_ip, \"10.0.0.0/8\")");
  }
  const std::uint32_t ip = check(node.children[0]);
  const AstNode& range = ast_[node.children[1]];
  if (type_of(ip) != ValueType::kString) {
    if (type_of(ip) == ValueType::kError) return error_node();
    return fail(ast_[node.children[0]],
                "inIpRange takes an address as a string, not " + a_type(ip));
  }
  if (range.kind == AstKind::kError) return error_node();
  if (range.kind != AstKind::kString) {
    return fail(range, "the range of inIpRange must be written out: \"10.0.0.0/8\"");
  }
  const auto prefix = parse_cidr(range.text);
  if (!prefix) {
    return fail(range, "\"" + shown(range.text) +
                           "\" is no range; write an address and its prefix length: "
                           "\"10.0.0.0/8\", \"169.254.169.254/32\", \"fe80::/10\"");
  }
  CheckedNode out = make(CheckedKind::kInIpRange, ValueType::kBool);
  out.prefix = *prefix;
  out.children = {ip};
  return add(std::move(out));
}

}  // namespace cicd
