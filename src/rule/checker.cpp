// SPDX-License-Identifier: Apache-2.0
#include "rule/checker.h"

#include <algorithm>

#include "rule/normalize.h"

namespace cicd {

namespace {

struct FunctionNote {
  std::string_view name;
  const char* text;
};

// Functions people know from the language but which rules do not have.
constexpr FunctionNote kRefusedFunctions[] = {
    {"has", "has() is not allowed and not needed: every field of an event type is always there"},
    {"map", "map is not allowed in event rules; put the test into exists(x, ...)"},
    {"filter", "filter is not allowed in event rules; put the test into exists(x, ...)"},
    {"within", "within counts rules, so it stands in a correlation (type: correlation)"},
    {"sequence", "sequence follows rules, so it stands in a correlation (type: correlation)"},
};

constexpr std::string_view kConversions[] = {"int",  "uint",     "double",    "string", "bool",
                                             "type", "duration", "timestamp", "bytes",  "dyn"};
// `list` is none of them: in rules it holds the lists of the set.
constexpr std::string_view kTypeNames[] = {"bool",  "int",       "uint", "double", "string",
                                           "bytes", "null_type", "map",  "type"};

template <typename List>
bool has(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

ValueType value_type(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return ValueType::kString;
    case FieldType::kBool:
      return ValueType::kBool;
    case FieldType::kInt:
      return ValueType::kInt;
  }
  return ValueType::kError;
}

}  // namespace

std::string_view name_of(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "bool";
    case ValueType::kInt:
      return "int";
    case ValueType::kUint:
      return "uint";
    case ValueType::kDouble:
      return "double";
    case ValueType::kString:
      return "string";
    case ValueType::kDuration:
      return "duration";
    case ValueType::kType:
      return "type";
    case ValueType::kStringList:
      return "list of strings";
    case ValueType::kList:
      return "list";
    case ValueType::kAncestorList:
      return "list of processes";
    case ValueType::kAncestor:
      return "process of a chain";
    case ValueType::kProcess:
      return "process";
    case ValueType::kLists:
      return "set of lists";
    case ValueType::kStep:
      return "step";
    case ValueType::kError:
      break;
  }
  return "error";
}

Checker::Checker(const Ast& ast, const NamedLists& lists, EventType event_type,
                 RuleLanguage language, std::vector<CodeMistake>& mistakes)
    : ast_(ast),
      lists_(lists),
      info_(info_of(event_type)),
      language_(language),
      mistakes_(mistakes) {
  out_.event_type = event_type;
}

Checked Checker::run() {
  out_.root = check(ast_.root);
  if (is_too_large_ && mistakes_.empty()) {
    fail(ast_[ast_.root],
         "values and lists inside each other make this condition too large (a million parts when "
         "it is evaluated); split it into several rules");
  }
  const ValueType type = type_of(out_.root);
  if (type != ValueType::kBool && type != ValueType::kError) {
    fail(ast_[ast_.root], "a condition must be true or false, this is " + a_type(out_.root));
  }
  return std::move(out_);
}

std::uint32_t Checker::check(std::uint32_t index) {
  const AstNode& node = ast_[index];
  switch (node.kind) {
    case AstKind::kError:
    case AstKind::kIndex:
    case AstKind::kAdd:
    case AstKind::kSubtract:
      return error_node();  // the parser reported it
    case AstKind::kBool:
    case AstKind::kInt:
    case AstKind::kUint:
    case AstKind::kDouble:
    case AstKind::kString:
      return check_literal(node);
    case AstKind::kName:
      return check_name(node);
    case AstKind::kSelect:
      return check_select(node);
    case AstKind::kCall:
      return check_call(node);
    case AstKind::kMethod:
      return check_method(node);
    case AstKind::kNot:
      return check_logic(node, CheckedKind::kNot);
    case AstKind::kAnd:
      return check_logic(node, CheckedKind::kAnd);
    case AstKind::kOr:
      return check_logic(node, CheckedKind::kOr);
    case AstKind::kCompare:
      return check_compare(node);
    case AstKind::kIn:
      return check_in(node);
    case AstKind::kNegate:
      return check_negate(node);
    case AstKind::kChoose:
      return check_choose(node);
    case AstKind::kList:
      return check_list(node);
  }
  return error_node();
}

std::uint32_t Checker::add(CheckedNode node) {
  const bool binds = node.kind == CheckedKind::kExists || node.kind == CheckedKind::kAll ||
                     node.kind == CheckedKind::kExistsOne;
  if (binds) node.first_free = static_cast<std::uint8_t>(node.variable + 1);
  for (const std::uint32_t child : node.children) {
    node.can_fail |= out_[child].can_fail;
    node.first_free = std::max(node.first_free, out_[child].first_free);
  }
  const std::uint64_t weight = weight_of(node);
  is_too_large_ |= weight > kMaxConditionWeight;
  node.weight = static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, kMaxConditionWeight));
  out_.nodes.push_back(std::move(node));
  return static_cast<std::uint32_t>(out_.nodes.size() - 1);
}

// How often an Evaluator asks for a child to answer once (lowering.cpp): a question of ?: whether
// it is true and whether it is false, an operand that can be an error whether it is one.
std::uint64_t Checker::weight_of(const CheckedNode& node) const {
  const auto times = [&](const CheckedNode& child, std::size_t i) -> std::uint64_t {
    const std::uint64_t of_truth = child.type == ValueType::kBool ? 2 : 1;
    switch (node.kind) {
      case CheckedKind::kChoose:
        return i == 0 ? 2 : 1;
      case CheckedKind::kConvert:
        return of_truth;
      case CheckedKind::kRequire:
        return i == 0 ? 1 : of_truth;
      case CheckedKind::kExistsOne:
      case CheckedKind::kExactlyOne:
        return child.can_fail ? 3 : 1;
      case CheckedKind::kCompare:
      case CheckedKind::kStartsWith:
      case CheckedKind::kEndsWith:
      case CheckedKind::kContains:
      case CheckedKind::kMatches:
      case CheckedKind::kInIpRange:
        return child.can_fail ? 2 * of_truth : 1;
      default:
        return 1;
    }
  };
  std::uint64_t out = 1;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const CheckedNode& child = out_[node.children[i]];
    // Only one side of a ?: is looked at.
    if (node.kind == CheckedKind::kChoose && i == 2) {
      const std::uint32_t yes = out_[node.children[1]].weight;
      out += child.weight > yes ? child.weight - yes : 0;
    } else {
      out += child.weight * times(child, i);
    }
  }
  return out;
}

std::uint32_t Checker::join(CheckedKind kind, ValueType type, Nodes children) {
  CheckedNode out = make(kind, type);
  out.children = std::move(children);
  return add(std::move(out));
}

std::uint32_t Checker::boolean(bool value) {
  CheckedNode out = make(CheckedKind::kLiteral, ValueType::kBool);
  out.number = value;
  return add(std::move(out));
}

std::uint32_t Checker::require(std::uint32_t node, const Nodes& values) {
  CheckedNode out = make(CheckedKind::kRequire, type_of(node));
  out.text = out_[node].text;  // the name of a type stays readable
  out.children = {node};
  std::ranges::copy_if(values, std::back_inserter(out.children),
                       [this](std::uint32_t value) { return out_[value].can_fail; });
  return out.children.size() == 1 ? node : add(std::move(out));
}

std::string Checker::a_type(std::uint32_t node) const {
  return "a " + std::string(name_of(type_of(node)));
}

bool Checker::is_extended(const AstNode& node, std::string_view what, std::string_view instead) {
  if (language_ == RuleLanguage::kExtended) return true;
  fail(node, std::string(what) +
                 " is not allowed in portable event rules; write \"language: extended\" into the "
                 "rule set" +
                 (instead.empty() ? "" : ", or " + std::string(instead)));
  return false;
}

std::uint32_t Checker::check_literal(const AstNode& node) {
  const ValueType type = node.kind == AstKind::kBool     ? ValueType::kBool
                         : node.kind == AstKind::kInt    ? ValueType::kInt
                         : node.kind == AstKind::kUint   ? ValueType::kUint
                         : node.kind == AstKind::kDouble ? ValueType::kDouble
                                                         : ValueType::kString;
  CheckedNode out = make(CheckedKind::kLiteral, type);
  if (type == ValueType::kString) {
    out.text = normalized(node.text);
  } else {
    out.number = node.number;
  }
  return add(std::move(out));
}

std::uint32_t Checker::check_bool(std::uint32_t index, std::string_view where) {
  const std::uint32_t out = check(index);
  if (type_of(out) == ValueType::kBool || type_of(out) == ValueType::kError) return out;
  return fail(ast_[index], std::string(where) + " needs true or false, this is " + a_type(out));
}

std::uint32_t Checker::check_logic(const AstNode& node, CheckedKind kind) {
  const std::string_view where = kind == CheckedKind::kNot   ? "!"
                                 : kind == CheckedKind::kAnd ? "&&"
                                                             : "||";
  Nodes children;
  for (const std::uint32_t child : node.children) children.push_back(check_bool(child, where));
  return join(kind, ValueType::kBool, std::move(children));
}

std::uint32_t Checker::check_name(const AstNode& node) {
  const bool passes_variables = node.number != 0;
  for (std::size_t i = passes_variables ? 0 : scope_.size(); i-- > 0;) {
    const Variable& variable = scope_[i];
    if (variable.name != node.text) continue;
    if (variable.slot == kNoVariable) return variable.bound;
    return add(
        make(variable.type == ValueType::kString ? CheckedKind::kVariable : CheckedKind::kNothing,
             variable.type, variable.slot));
  }
  for (std::size_t i = 0; i < info_.fields.size(); ++i) {
    if (info_.fields[i].name == node.text) return field(node, i);
  }
  if (node.text == "process") return add(make(CheckedKind::kNothing, ValueType::kProcess));
  if (node.text == "list") return add(make(CheckedKind::kNothing, ValueType::kLists));
  if (node.text == "step" && is_extended(node, "step", "")) {
    return add(make(CheckedKind::kNothing, ValueType::kStep));
  }
  if (node.text == "step") return error_node();
  if (has(kTypeNames, node.text)) {
    CheckedNode out = make(CheckedKind::kLiteral, ValueType::kType);
    out.text = node.text;
    return add(std::move(out));
  }
  return unknown_name(node);
}

std::uint32_t Checker::field(const AstNode& node, std::size_t index) {
  const FieldInfo& info = info_.fields[index];
  if (!info.in_rules && !info.in_extended) {
    return fail(node, "field " + node.text + " is written to logs only; rules on " +
                          std::string(info_.name) + " have: " + field_names());
  }
  if (!info.in_rules &&
      !is_extended(node, "field " + node.text + " of " + std::string(info_.name), "")) {
    return error_node();
  }
  CheckedNode out = make(CheckedKind::kField, value_type(info.type));
  out.index = static_cast<std::uint8_t>(index);
  return add(std::move(out));
}

std::uint32_t Checker::unknown_name(const AstNode& node) {
  const std::string known = std::string(info_.name) + " has: " + field_names();
  for (const EventTypeInfo& other : event_types()) {
    for (const FieldInfo& field : other.fields) {
      if (field.name != node.text || !field.in_rules) continue;
      return fail(node, node.text + " is a field of " + std::string(other.name) + ", but " + known);
    }
  }
  return fail(node, "unknown name " + shown(node.text) + "; " + known);
}

std::string Checker::field_names() const {
  const bool extended = language_ == RuleLanguage::kExtended;
  std::string out;
  for (const FieldInfo& field : info_.fields) {
    if (field.in_rules || (extended && field.in_extended)) out += std::string(field.name) + ", ";
  }
  return out + "process, list" + (extended ? ", step" : "");
}

std::uint32_t Checker::check_select(const AstNode& node) {
  const std::uint32_t of = check(node.children[0]);
  switch (type_of(of)) {
    case ValueType::kError:
      return error_node();
    case ValueType::kProcess:
    case ValueType::kAncestor:
      return select_process(node, type_of(of), out_[of].variable);
    case ValueType::kStep:
      return select_step(node);
    case ValueType::kLists:
      return select_list(node);
    default:
      return fail(node,
                  a_type(of) + " has no parts; \"." + shown(node.text) + "\" does not fit here");
  }
}

std::uint32_t Checker::select_process(const AstNode& node, ValueType of, std::uint8_t variable) {
  const bool is_ancestor = of == ValueType::kAncestor;
  if (node.text == "exec_path") {
    return add(make(CheckedKind::kExecPath, ValueType::kString, variable));
  }
  if (node.text == "argv") return add(make(CheckedKind::kArgv, ValueType::kStringList, variable));
  if (node.text == "ancestors" && !is_ancestor) {
    return add(make(CheckedKind::kAncestors, ValueType::kAncestorList));
  }
  if (node.text == "descendants" && is_ancestor) {
    return add(make(CheckedKind::kDescendants, ValueType::kAncestorList, variable));
  }
  if (node.text == "uid" || node.text == "cwd") {
    if (!is_extended(node, node.text + " of a process", "")) return error_node();
    return node.text == "uid" ? add(make(CheckedKind::kUid, ValueType::kInt, variable))
                              : add(make(CheckedKind::kCwd, ValueType::kString, variable));
  }
  return fail(node, std::string(is_ancestor ? "an ancestor" : "process") + " has no " +
                        shown(node.text) + "; it has: exec_path, argv, " +
                        (is_ancestor ? "descendants" : "ancestors") +
                        (language_ == RuleLanguage::kExtended ? ", uid, cwd" : ""));
}

std::uint32_t Checker::select_step(const AstNode& node) {
  if (node.text == "id") return add(make(CheckedKind::kStepId, ValueType::kString));
  if (node.text == "name") return add(make(CheckedKind::kStepName, ValueType::kString));
  return fail(node, "step has no " + shown(node.text) + "; it has: id, name");
}

std::uint32_t Checker::select_list(const AstNode& node) {
  if (lists_.contains(node.text)) {
    CheckedNode out = make(CheckedKind::kNamedList, ValueType::kStringList);
    out.text = node.text;
    return add(std::move(out));
  }
  std::string known;
  for (const auto& [name, values] : lists_) {
    known += (known.empty() ? "" : ", ") + name;
    if (known.size() > 200) {
      known += ", ...";
      break;
    }
  }
  return fail(node, "the rule set has no list " + shown(node.text) +
                        (known.empty() ? "; it has no lists at all" : "; it has: " + known));
}

std::uint32_t Checker::check_method(const AstNode& node) {
  if (node.text == "startsWith") return check_text_test(node, CheckedKind::kStartsWith);
  if (node.text == "endsWith") return check_text_test(node, CheckedKind::kEndsWith);
  if (node.text == "contains") return check_text_test(node, CheckedKind::kContains);
  if (node.text == "matches") return check_matches(node);
  if (node.text == "size") return check_size(node);
  if (node.text == "exists") return check_macro(node, CheckedKind::kExists);
  if (node.text == "all") {
    return is_extended(node, "all", "write !list.exists(x, !(...))")
               ? check_macro(node, CheckedKind::kAll)
               : error_node();
  }
  if (node.text == "exists_one") {
    return is_extended(node, "exists_one", "use exists")
               ? check_macro(node, CheckedKind::kExistsOne)
               : error_node();
  }
  if (node.text == "inIpRange") {
    return fail(node, "inIpRange is a function: inIpRange(remote_ip, \"10.0.0.0/8\")");
  }
  refuse_function(node);
  return error_node();
}

std::uint32_t Checker::check_call(const AstNode& node) {
  if (node.text == "inIpRange") return check_in_ip_range(node);
  if (node.text == "size") return check_size(node);
  if (node.text == "matches") return check_matches(node);
  for (const std::string_view macro : {"exists", "all", "exists_one"}) {
    if (node.text == macro) {
      return fail(node, node.text + " is written list." + node.text + "(x, condition on x)");
    }
  }
  if (node.text == "startsWith" || node.text == "endsWith" || node.text == "contains") {
    return fail(node, node.text + " is written text." + node.text + "(\"...\")");
  }
  if (has(kConversions, node.text)) return check_conversion(node);
  refuse_function(node);
  return error_node();
}

void Checker::refuse_function(const AstNode& node) {
  for (const FunctionNote& note : kRefusedFunctions) {
    if (note.name == node.text) {
      fail(node, note.text);
      return;
    }
  }
  fail(node, "unknown function " + shown(node.text) +
                 "; allowed: startsWith, endsWith, contains, exists, inIpRange" +
                 (language_ == RuleLanguage::kExtended ? ", matches, size, all, exists_one" : ""));
}

Checked check_condition(const Ast& ast, EventType event_type, const NamedLists& lists,
                        RuleLanguage language, std::vector<CodeMistake>& mistakes) {
  return Checker(ast, lists, event_type, language, mistakes).run();
}

}  // namespace cicd
