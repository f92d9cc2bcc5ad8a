// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "rule/correlation.h"
#include "rule/diagnostic.h"

namespace cicd {

namespace {

using Op = CorrelationNode::Op;

constexpr const char* kAllowed =
    "a correlation has rule.<rule_id>.total_count, numbers, + -, comparisons, && || ! and ?:";

class CorrelationChecker {
 public:
  CorrelationChecker(const Ast& ast, const CountedRules& rules, std::vector<CodeMistake>& mistakes)
      : ast_(ast), rules_(rules), mistakes_(mistakes) {}

  CorrelationCode run() {
    const Value root = check(ast_.root);
    if (root.type == Type::kInt) {
      fail(ast_[ast_.root], "a condition must be true or false, this is a number; compare it");
    }
    if (!names_a_rule_ && mistakes_.empty()) {
      fail(ast_[ast_.root], "a correlation must name a rule: rule.<rule_id>.total_count");
    }
    out_.root = root.node;
    return std::move(out_);
  }

 private:
  enum class Type { kError, kBool, kInt };
  struct Value {
    std::uint32_t node = 0;
    Type type = Type::kError;
  };

  Value add(CorrelationNode node, Type type) {
    out_.nodes.push_back(std::move(node));
    return {static_cast<std::uint32_t>(out_.nodes.size() - 1), type};
  }
  Value error() { return add({}, Type::kError); }
  Value fail(const AstNode& node, std::string text) {
    mistakes_.push_back({node.offset, std::move(text)});
    return error();
  }
  Value expect(std::uint32_t index, Type wanted, const char* where) {
    const Value value = check(index);
    if (value.type == wanted || value.type == Type::kError) return value;
    return fail(ast_[index], std::string(where) + (wanted == Type::kBool
                                                       ? " needs true or false, this is a number"
                                                       : " needs numbers, this is true or "
                                                         "false"));
  }

  Value check(std::uint32_t index) {
    const AstNode& node = ast_[index];
    switch (node.kind) {
      case AstKind::kError:
        return error();
      case AstKind::kBool:
      case AstKind::kInt:
        return add({Op::kNumber, {}, 0, node.number, {}},
                   node.kind == AstKind::kBool ? Type::kBool : Type::kInt);
      case AstKind::kNot:
        return check_all(node, Op::kNot, Type::kBool, "!");
      case AstKind::kAnd:
        return check_all(node, Op::kAnd, Type::kBool, "&&");
      case AstKind::kOr:
        return check_all(node, Op::kOr, Type::kBool, "||");
      case AstKind::kAdd:
        return check_all(node, Op::kAdd, Type::kInt, "+");
      case AstKind::kSubtract:
        return check_all(node, Op::kSubtract, Type::kInt, "-");
      case AstKind::kCompare:
        return check_compare(node);
      case AstKind::kChoose:
        return check_choose(node);
      case AstKind::kSelect:
      case AstKind::kIndex:
        return check_count(node);
      case AstKind::kName:
        return fail(node, "unknown name " + shown(node.text) + "; " + kAllowed);
      case AstKind::kString:
        return fail(node, std::string("text is not a value here; ") + kAllowed);
      case AstKind::kCall:
      case AstKind::kMethod:
        return fail(node, shown(node.text) + "() is not allowed in correlations; " + kAllowed);
    }
    return error();
  }

  Value check_all(const AstNode& node, Op op, Type type, const char* where) {
    CorrelationNode out{op, {}, 0, 0, {}};
    for (const std::uint32_t child : node.children) {
      out.children.push_back(expect(child, type, where).node);
    }
    return add(std::move(out), type);
  }

  Value check_compare(const AstNode& node) {
    const Value left = check(node.children[0]);
    const Value right = check(node.children[1]);
    CorrelationNode out{Op::kCompare, node.compare, 0, 0, {left.node, right.node}};
    if (left.type != Type::kError && right.type != Type::kError && left.type != right.type) {
      return fail(node, "a number cannot be compared with true or false");
    }
    return add(std::move(out), Type::kBool);
  }

  Value check_choose(const AstNode& node) {
    const Value question = expect(node.children[0], Type::kBool, "the part before ?");
    const Value yes = check(node.children[1]);
    const Value no = check(node.children[2]);
    CorrelationNode out{Op::kChoose, {}, 0, 0, {question.node, yes.node, no.node}};
    if (yes.type == Type::kError || no.type == Type::kError) return error();
    if (yes.type != no.type) {
      return fail(node, "both sides of the : must be numbers, or both true or false");
    }
    return add(std::move(out), yes.type);
  }

  // rule.<rule_id>.total_count or rule["rule_id"].total_count
  Value check_count(const AstNode& node) {
    const bool is_select = node.kind == AstKind::kSelect;
    const AstNode& of = ast_[node.children[0]];
    if (of.kind == AstKind::kError) return error();
    const AstNode* id = nullptr;
    if (of.kind == AstKind::kSelect && is_rule(of)) id = &of;
    if (of.kind == AstKind::kIndex && is_rule(of)) id = &ast_[of.children[1]];
    if (!is_select || id == nullptr ||
        (id->kind != AstKind::kSelect && id->kind != AstKind::kString)) {
      return fail(node, std::string("this is not a count; ") + kAllowed);
    }
    if (node.text != "total_count") {
      return fail(node, "a rule has no " + shown(node.text) + " here; it has total_count");
    }
    names_a_rule_ = true;
    const auto rule = rules_.find(id->text);
    if (rule == rules_.end()) {
      return fail(*id, "this rule set has no rule " + shown(id->text));
    }
    if (rule->second.is_correlation) {
      return fail(
          *id, shown(id->text) + " is a correlation itself; a correlation counts event rules only");
    }
    if (!rule->second.index) return add({}, Type::kInt);
    return add({Op::kCount, {}, *rule->second.index, 0, {}}, Type::kInt);
  }

  bool is_rule(const AstNode& node) const {
    const AstNode& name = ast_[node.children[0]];
    return name.kind == AstKind::kName && name.text == "rule";
  }

  const Ast& ast_;
  const CountedRules& rules_;
  std::vector<CodeMistake>& mistakes_;
  CorrelationCode out_;
  bool names_a_rule_ = false;
};

}  // namespace

CorrelationCode check_correlation(const Ast& ast, const CountedRules& rules,
                                  std::vector<CodeMistake>& mistakes) {
  return CorrelationChecker(ast, rules, mistakes).run();
}

}  // namespace cicd
