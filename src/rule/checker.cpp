// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>

#include "rule/checked.h"
#include "rule/normalize.h"

namespace cicd {

namespace {

struct FunctionNote {
  std::string_view name;
  const char* text;
};

// Functions people know from the language but which rules do not have.
constexpr FunctionNote kRefusedFunctions[] = {
    {"matches",
     "matches (regular expressions) is not allowed in event rules; use startsWith, "
     "endsWith or contains"},
    {"size", "size is not allowed in event rules; ask with exists or compare the text"},
    {"has", "has() is not allowed and not needed: every field of an event type is always there"},
    {"all", "all is not allowed in event rules; write !list.exists(x, !(...))"},
    {"exists_one", "exists_one is not allowed in event rules; use exists"},
    {"map", "map is not allowed in event rules; put the test into exists(x, ...)"},
    {"filter", "filter is not allowed in event rules; put the test into exists(x, ...)"},
};

constexpr std::string_view kConversions[] = {"int",  "uint",     "double",    "string", "bool",
                                             "type", "duration", "timestamp", "bytes",  "dyn"};

std::string_view name_of_type(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "bool";
    case ValueType::kInt:
      return "int";
    case ValueType::kString:
      return "string";
    case ValueType::kStringList:
      return "list of strings";
    case ValueType::kAncestorList:
      return "list of processes";
    case ValueType::kAncestor:
      return "process of a chain";
    case ValueType::kProcess:
      return "process";
    case ValueType::kLists:
      return "set of lists";
    case ValueType::kError:
      break;
  }
  return "error";
}

ValueType type_of(FieldType type) {
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

class Checker {
 public:
  Checker(const Ast& ast, const NamedLists& lists, EventType event_type,
          std::vector<CodeMistake>& mistakes)
      : ast_(ast), lists_(lists), info_(info_of(event_type)), mistakes_(mistakes) {
    out_.event_type = event_type;
  }

  Checked run() {
    out_.root = check(ast_.root);
    const ValueType type = out_[out_.root].type;
    if (type != ValueType::kBool && type != ValueType::kError) {
      fail(ast_[ast_.root],
           "a condition must be true or false, this is a " + std::string(name_of_type(type)));
    }
    return std::move(out_);
  }

 private:
  struct Variable {
    std::string_view name;
    ValueType type;
  };

  std::uint32_t check(std::uint32_t index);
  std::uint32_t check_bool(std::uint32_t index, std::string_view where);
  std::uint32_t check_logic(const AstNode& node, CheckedKind kind);
  std::uint32_t check_name(const AstNode& node);
  std::uint32_t unknown_name(const AstNode& node);
  std::uint32_t check_select(const AstNode& node);
  std::uint32_t select_process(const AstNode& node);
  std::uint32_t select_ancestor(const AstNode& node, std::uint8_t variable);
  std::uint32_t select_list(const AstNode& node);
  std::uint32_t check_compare(const AstNode& node);
  std::uint32_t check_method(const AstNode& node);
  std::uint32_t check_text_test(const AstNode& node, CheckedKind kind);
  std::uint32_t check_exists(const AstNode& node);
  std::uint32_t check_call(const AstNode& node);
  std::uint32_t check_in_ip_range(const AstNode& node);
  void refuse_function(const AstNode& node);
  std::string field_names(const EventTypeInfo& info) const;

  std::uint32_t add(CheckedNode node) {
    out_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(out_.nodes.size() - 1);
  }
  std::uint32_t error_node() { return add({}); }
  std::uint32_t fail(const AstNode& node, std::string text) {
    mistakes_.push_back({node.offset, std::move(text)});
    return error_node();
  }
  CheckedNode make(CheckedKind kind, ValueType type, std::uint8_t variable = kNoVariable) {
    CheckedNode node;
    node.kind = kind;
    node.type = type;
    node.variable = variable;
    return node;
  }

  const Ast& ast_;
  const NamedLists& lists_;
  const EventTypeInfo& info_;
  std::vector<CodeMistake>& mistakes_;
  Checked out_;
  std::vector<Variable> scope_;
};

std::uint32_t Checker::check(std::uint32_t index) {
  const AstNode& node = ast_[index];
  switch (node.kind) {
    case AstKind::kError:
    case AstKind::kIndex:
    case AstKind::kAdd:
    case AstKind::kSubtract:
    case AstKind::kChoose:
      return error_node();  // the parser reported it
    case AstKind::kBool:
    case AstKind::kInt: {
      CheckedNode out = make(CheckedKind::kLiteral,
                             node.kind == AstKind::kBool ? ValueType::kBool : ValueType::kInt);
      out.number = node.number;
      return add(std::move(out));
    }
    case AstKind::kString: {
      CheckedNode out = make(CheckedKind::kLiteral, ValueType::kString);
      out.text = normalized(node.text);
      return add(std::move(out));
    }
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
  }
  return error_node();
}

std::uint32_t Checker::check_bool(std::uint32_t index, std::string_view where) {
  const std::uint32_t out = check(index);
  const ValueType type = out_[out].type;
  if (type == ValueType::kBool || type == ValueType::kError) return out;
  return fail(ast_[index], std::string(where) + " needs true or false, this is a " +
                               std::string(name_of_type(type)));
}

std::uint32_t Checker::check_logic(const AstNode& node, CheckedKind kind) {
  const std::string_view where = kind == CheckedKind::kNot   ? "!"
                                 : kind == CheckedKind::kAnd ? "&&"
                                                             : "||";
  CheckedNode out = make(kind, ValueType::kBool);
  for (const std::uint32_t child : node.children) {
    out.children.push_back(check_bool(child, where));
  }
  return add(std::move(out));
}

std::uint32_t Checker::check_name(const AstNode& node) {
  for (std::size_t i = scope_.size(); i-- > 0;) {
    if (scope_[i].name != node.text) continue;
    return add(
        make(scope_[i].type == ValueType::kString ? CheckedKind::kVariable : CheckedKind::kNothing,
             scope_[i].type, static_cast<std::uint8_t>(i)));
  }
  for (std::size_t i = 0; i < info_.fields.size(); ++i) {
    if (info_.fields[i].name != node.text) continue;
    if (!info_.fields[i].in_rules) {
      return fail(node, "field " + node.text + " is written to logs only; rules on " +
                            std::string(info_.name) + " have: " + field_names(info_));
    }
    CheckedNode out = make(CheckedKind::kField, type_of(info_.fields[i].type));
    out.index = static_cast<std::uint8_t>(i);
    return add(std::move(out));
  }
  if (node.text == "process") return add(make(CheckedKind::kNothing, ValueType::kProcess));
  if (node.text == "list") return add(make(CheckedKind::kNothing, ValueType::kLists));
  return unknown_name(node);
}

std::uint32_t Checker::unknown_name(const AstNode& node) {
  const std::string known = std::string(info_.name) + " has: " + field_names(info_);
  for (const EventTypeInfo& other : event_types()) {
    for (const FieldInfo& field : other.fields) {
      if (field.name != node.text || !field.in_rules) continue;
      return fail(node, node.text + " is a field of " + std::string(other.name) + ", but " + known);
    }
  }
  return fail(node, "unknown name " + shown(node.text) + "; " + known);
}

std::string Checker::field_names(const EventTypeInfo& info) const {
  std::string out;
  for (const FieldInfo& field : info.fields) {
    if (field.in_rules) out += std::string(field.name) + ", ";
  }
  return out + "process, list";
}

std::uint32_t Checker::check_select(const AstNode& node) {
  const std::uint32_t of = check(node.children[0]);
  const std::uint8_t variable = out_[of].variable;
  switch (out_[of].type) {
    case ValueType::kError:
      return error_node();
    case ValueType::kProcess:
      return select_process(node);
    case ValueType::kAncestor:
      return select_ancestor(node, variable);
    case ValueType::kLists:
      return select_list(node);
    default:
      return fail(node, "a " + std::string(name_of_type(out_[of].type)) + " has no parts; \"." +
                            shown(node.text) + "\" does not fit here");
  }
}

std::uint32_t Checker::select_process(const AstNode& node) {
  if (node.text == "exec_path") return add(make(CheckedKind::kExecPath, ValueType::kString));
  if (node.text == "argv") return add(make(CheckedKind::kArgv, ValueType::kStringList));
  if (node.text == "ancestors") return add(make(CheckedKind::kAncestors, ValueType::kAncestorList));
  return fail(node, "process has no " + shown(node.text) + "; it has: exec_path, argv, ancestors");
}

std::uint32_t Checker::select_ancestor(const AstNode& node, std::uint8_t variable) {
  if (node.text == "exec_path") {
    return add(make(CheckedKind::kExecPath, ValueType::kString, variable));
  }
  if (node.text == "argv") return add(make(CheckedKind::kArgv, ValueType::kStringList, variable));
  if (node.text == "descendants") {
    return add(make(CheckedKind::kDescendants, ValueType::kAncestorList, variable));
  }
  return fail(node,
              "an ancestor has no " + shown(node.text) + "; it has: exec_path, argv, descendants");
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

std::uint32_t Checker::check_compare(const AstNode& node) {
  const std::uint32_t left = check(node.children[0]);
  const std::uint32_t right = check(node.children[1]);
  const ValueType type = out_[left].type;
  const ValueType other = out_[right].type;
  if (type == ValueType::kError || other == ValueType::kError) return error_node();
  if (type != ValueType::kBool && type != ValueType::kInt && type != ValueType::kString) {
    return fail(node, "a " + std::string(name_of_type(type)) +
                          " cannot be compared; look into it with exists or name a part of it");
  }
  if (type != other) {
    return fail(node, "a " + std::string(name_of_type(type)) + " cannot be compared with a " +
                          std::string(name_of_type(other)));
  }
  CheckedNode out = make(CheckedKind::kCompare, ValueType::kBool);
  out.compare = node.compare;
  out.children = {left, right};
  return add(std::move(out));
}

std::uint32_t Checker::check_method(const AstNode& node) {
  if (node.text == "startsWith") return check_text_test(node, CheckedKind::kStartsWith);
  if (node.text == "endsWith") return check_text_test(node, CheckedKind::kEndsWith);
  if (node.text == "contains") return check_text_test(node, CheckedKind::kContains);
  if (node.text == "exists") return check_exists(node);
  if (node.text == "inIpRange") {
    return fail(node, "inIpRange is a function: inIpRange(remote_ip, \"10.0.0.0/8\")");
  }
  refuse_function(node);
  return error_node();
}

std::uint32_t Checker::check_text_test(const AstNode& node, CheckedKind kind) {
  if (node.children.size() != 2) return fail(node, node.text + " takes one argument");
  const std::uint32_t left = check(node.children[0]);
  const std::uint32_t right = check(node.children[1]);
  if (out_[left].type == ValueType::kError || out_[right].type == ValueType::kError) {
    return error_node();
  }
  if (out_[left].type != ValueType::kString) {
    return fail(node, node.text + " works on a string, not on a " +
                          std::string(name_of_type(out_[left].type)));
  }
  if (out_[right].type != ValueType::kString) {
    return fail(ast_[node.children[1]], node.text + " takes a string, not a " +
                                            std::string(name_of_type(out_[right].type)));
  }
  CheckedNode out = make(kind, ValueType::kBool);
  out.children = {left, right};
  return add(std::move(out));
}

std::uint32_t Checker::check_exists(const AstNode& node) {
  if (node.children.size() != 3 || ast_[node.children[1]].kind != AstKind::kName) {
    return fail(node, "exists is written list.exists(x, condition on x)");
  }
  const std::uint32_t list = check(node.children[0]);
  const ValueType type = out_[list].type;
  if (type != ValueType::kStringList && type != ValueType::kAncestorList) {
    if (type == ValueType::kError) return error_node();
    return fail(node, "exists looks through a list, this is a " + std::string(name_of_type(type)));
  }
  if (scope_.size() >= static_cast<std::size_t>(kMaxExistsDepth)) {
    return fail(node, "more than 4 exists inside each other would make every event slow");
  }
  CheckedNode out =
      make(CheckedKind::kExists, ValueType::kBool, static_cast<std::uint8_t>(scope_.size()));
  scope_.push_back({ast_[node.children[1]].text,
                    type == ValueType::kStringList ? ValueType::kString : ValueType::kAncestor});
  const std::uint32_t body = check_bool(node.children[2], "exists");
  scope_.pop_back();
  out.children = {list, body};
  return add(std::move(out));
}

std::uint32_t Checker::check_call(const AstNode& node) {
  if (node.text == "inIpRange") return check_in_ip_range(node);
  if (node.text == "exists") return fail(node, "exists is written list.exists(x, condition on x)");
  if (node.text == "startsWith" || node.text == "endsWith" || node.text == "contains") {
    return fail(node, node.text + " is written text." + node.text + "(\"...\")");
  }
  if (std::find(std::begin(kConversions), std::end(kConversions), node.text) !=
      std::end(kConversions)) {
    return fail(node, "the conversion " + node.text + "() is not supported by this version");
  }
  refuse_function(node);
  return error_node();
}

std::uint32_t Checker::check_in_ip_range(const AstNode& node) {
  if (node.children.size() != 2) {
    return fail(node,
                "inIpRange takes an address and a range: inIpRange(remote_ip, \"10.0.0.0/8\")");
  }
  const std::uint32_t ip = check(node.children[0]);
  const AstNode& range = ast_[node.children[1]];
  if (out_[ip].type != ValueType::kString) {
    if (out_[ip].type == ValueType::kError) return error_node();
    return fail(ast_[node.children[0]], "inIpRange takes an address as a string, not a " +
                                            std::string(name_of_type(out_[ip].type)));
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

void Checker::refuse_function(const AstNode& node) {
  for (const FunctionNote& note : kRefusedFunctions) {
    if (note.name == node.text) {
      fail(node, note.text);
      return;
    }
  }
  fail(node, "unknown function " + shown(node.text) +
                 "; allowed: startsWith, endsWith, contains, exists, inIpRange");
}

}  // namespace

Checked check_condition(const Ast& ast, EventType event_type, const NamedLists& lists,
                        std::vector<CodeMistake>& mistakes) {
  return Checker(ast, lists, event_type, mistakes).run();
}

}  // namespace cicd
