// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "rule/correlation.h"
#include "rule/diagnostic.h"
#include "rule/duration.h"

namespace cicd {

namespace {

using Op = CorrelationNode::Op;

constexpr const char* kAllowed =
    "a correlation has rule.<rule_id>.total_count, numbers, + -, comparisons, && || ! and ?:";

// A job is over before; and times of two windows still add up in 64 bits.
constexpr std::int64_t kLongestWindowNs = 24ll * 3600 * 1'000'000'000;
constexpr std::size_t kLongestSequence = 16;

class CorrelationChecker {
 public:
  CorrelationChecker(const Ast& ast, const CountedRules& rules, RuleLanguage language,
                     std::vector<CodeMistake>& mistakes)
      : ast_(ast), rules_(rules), language_(language), mistakes_(mistakes) {}

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
    mistakes_.push_back({node.offset, std::move(text), false});
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
      case AstKind::kUint:
      case AstKind::kDouble:
        return fail(node, std::string("counts are whole numbers, written without u and point; ") +
                              kAllowed);
      case AstKind::kIn:
      case AstKind::kList:
        return fail(node, std::string("lists have no place here; ") + kAllowed);
      case AstKind::kNegate:
        return check_negate(node);
      case AstKind::kString:
        return fail(node, std::string("text is not a value here; ") + kAllowed);
      case AstKind::kCall:
        if (node.text == "within") return check_within(node);
        if (node.text == "sequence") return check_sequence(node);
        [[fallthrough]];
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

  Value check_negate(const AstNode& node) {
    const Value zero = add({Op::kNumber, {}, 0, 0, {}}, Type::kInt);
    const Value of = expect(node.children[0], Type::kInt, "a minus sign");
    return add({Op::kSubtract, {}, 0, 0, {zero.node, of.node}}, Type::kInt);
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
    const CountedRule* rule = find_rule(*id);
    if (rule == nullptr) return error();
    if (within_ != nullptr) names_in_window_ = true;
    if (!rule->index) return add({}, Type::kInt);
    if (within_ != nullptr) within_->rules.push_back(*rule->index);
    return add({Op::kCount, {}, *rule->index, 0, {}}, Type::kInt);
  }

  // Null, and reported, when it is not to be counted.
  const CountedRule* find_rule(const AstNode& id) {
    names_a_rule_ = true;
    const auto rule = rules_.find(id.text);
    if (rule == rules_.end()) {
      fail(id, "this rule set has no rule " + shown(id.text));
      return nullptr;
    }
    if (rule->second.is_correlation) {
      fail(id, shown(id.text) + " is a correlation itself; a correlation counts event rules only");
      return nullptr;
    }
    return &rule->second;
  }

  bool is_extended(const AstNode& node) {
    if (language_ == RuleLanguage::kExtended) return true;
    fail(node, node.text +
                   " is not allowed in portable correlations; write \"language: "
                   "extended\" into the rule set");
    return false;
  }

  // within("30s", rule.a.total_count >= 3)
  Value check_within(const AstNode& node) {
    if (!is_extended(node)) return error();
    if (node.children.size() != 2 || ast_[node.children[0]].kind != AstKind::kString) {
      return fail(node,
                  "within takes a time, written out, and a condition: within(\"30s\", "
                  "rule.<rule_id>.total_count >= 3)");
    }
    const AstNode& time = ast_[node.children[0]];
    const auto window_ns = parse_duration(time.text);
    if (!window_ns || *window_ns <= 0 || *window_ns > kLongestWindowNs) {
      return fail(time, "\"" + shown(time.text) +
                            "\" is no time for a window; allowed: more than 0, up to \"24h\", as "
                            "in \"30s\", \"5m\", \"1h30m\"");
    }
    if (within_ != nullptr) return fail(node, "within cannot stand inside of another one");
    CorrelationCode::Within within;
    within.window_ns = *window_ns;
    within_ = &within;
    names_in_window_ = false;
    const std::size_t mistakes = mistakes_.size();
    within.condition = expect(node.children[1], Type::kBool, "within").node;
    within_ = nullptr;
    if (!names_in_window_ && mistakes_.size() == mistakes) {
      return fail(node, "within must count a rule: rule.<rule_id>.total_count");
    }
    std::ranges::sort(within.rules);
    within.rules.erase(std::ranges::unique(within.rules).begin(), within.rules.end());
    out_.withins.push_back(std::move(within));
    return add({Op::kWithin, {}, static_cast<std::uint32_t>(out_.withins.size() - 1), 0, {}},
               Type::kBool);
  }

  // sequence(a, b, c): ids of rules
  Value check_sequence(const AstNode& node) {
    if (!is_extended(node)) return error();
    if (within_ != nullptr) return fail(node, "sequence cannot stand inside of within");
    if (node.children.size() < 2 || node.children.size() > kLongestSequence) {
      return fail(node, "sequence takes 2 to 16 ids of rules: sequence(a, b, c)");
    }
    std::vector<std::uint32_t> rules;
    bool is_complete = true;
    for (const std::uint32_t child : node.children) {
      const AstNode& id = ast_[child];
      if (id.kind == AstKind::kError) return error();
      if (id.kind != AstKind::kName) {
        return fail(id, "sequence takes ids of rules as they are: sequence(a, b, c)");
      }
      const CountedRule* rule = find_rule(id);
      if (rule == nullptr) return error();
      is_complete &= rule->index.has_value();
      if (rule->index) rules.push_back(*rule->index);
    }
    // One of them is not in the program, so it never comes to this.
    if (!is_complete) return add({}, Type::kBool);
    out_.sequences.push_back(std::move(rules));
    return add({Op::kSequence, {}, static_cast<std::uint32_t>(out_.sequences.size() - 1), 0, {}},
               Type::kBool);
  }

  bool is_rule(const AstNode& node) const {
    const AstNode& name = ast_[node.children[0]];
    return name.kind == AstKind::kName && name.text == "rule";
  }

  const Ast& ast_;
  const CountedRules& rules_;
  const RuleLanguage language_;
  std::vector<CodeMistake>& mistakes_;
  CorrelationCode out_;
  CorrelationCode::Within* within_ = nullptr;  // the one that is being read
  bool names_in_window_ = false;
  bool names_a_rule_ = false;
};

}  // namespace

CorrelationCode check_correlation(const Ast& ast, const CountedRules& rules, RuleLanguage language,
                                  std::vector<CodeMistake>& mistakes) {
  return CorrelationChecker(ast, rules, language, mistakes).run();
}

}  // namespace cicd
