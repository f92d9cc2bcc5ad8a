// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/explain.h"

#include <algorithm>
#include <set>
#include <utility>

#include "report/terminal_text.h"
#include "rule/interpreter.h"
#include "rule_tools/source_spans.h"

namespace cicd {

namespace {

using Value = Interpreter::Value;

constexpr int kValueColumns = 80;
constexpr std::size_t kElementsShown = 5;

Verdict verdict_of(const Value& value) {
  return value.is_true() ? Verdict::kTrue : value.is_false() ? Verdict::kFalse : Verdict::kUnknown;
}

std::string shown_value(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kBool:
      return value.number != 0 ? "true" : "false";
    case Value::Kind::kInt:
      return std::to_string(value.number);
    case Value::Kind::kString:
      return '"' + fit(value.text, kValueColumns) + '"';
    case Value::Kind::kNode: {
      std::string line = value.node->exec_path;
      for (std::size_t i = 1; i < value.node->argv.size() && line.size() < 1'000; ++i) {
        line += " " + value.node->argv[i];
      }
      return fit(line, kValueColumns);
    }
    case Value::Kind::kUint:
      return std::to_string(static_cast<std::uint64_t>(value.number)) + "u";
    case Value::Kind::kDouble:
      return std::to_string(value.real);
    case Value::Kind::kDuration:
      return std::to_string(static_cast<double>(value.number) / 1e9) + "s";
    case Value::Kind::kList:
      return "a list of " + std::to_string(value.list.size());
    case Value::Kind::kError:
      return "an error";
    default:
      break;
  }
  return "?";
}

// One condition.
class Explainer {
 public:
  Explainer(const SourceText& code, const EventRecord& record, const NamedLists& lists)
      : ast_(parse_condition(code.text)),
        spans_(ast_, code.text),
        interpreter_(ast_, record, lists) {}

  void explain(ExplainedCondition& out) {
    out_ = &out;
    if (!ast_.is_complete) return;
    add(ast_.root, 0);
    out.verdict = out.parts.empty() ? Verdict::kUnknown : out.parts[0].verdict;
    out.is_exhausted = interpreter_.is_exhausted();
  }

 private:
  void add(std::uint32_t index, int depth) {
    if (out_->parts.size() >= kMaxExplainedParts) return;
    const AstNode& node = ast_[index];
    const Verdict verdict = verdict_of(interpreter_.eval(index));
    const std::size_t at = out_->parts.size();
    out_->parts.push_back({depth, verdict, spans_.of(index), ""});
    if (node.kind == AstKind::kMethod && node.text == "exists" && node.children.size() == 3) {
      add_exists(node, verdict, depth, at);
    } else if (is_logic(node)) {
      for (const std::uint32_t child : node.children) add(child, depth + 1);
    } else {
      out_->parts[at].detail = operands(node);
    }
  }

  // Whether the parts are conditions themselves.
  bool is_logic(const AstNode& node) {
    switch (node.kind) {
      case AstKind::kNot:
      case AstKind::kAnd:
      case AstKind::kOr:
        return true;
      case AstKind::kCompare:
      case AstKind::kChoose:
        return std::ranges::all_of(node.children, [&](std::uint32_t child) {
          return interpreter_.eval(child).kind == Value::Kind::kBool;
        });
      default:
        return false;
    }
  }

  // What the operands were that are not written out.
  std::string operands(const AstNode& node) {
    std::string out;
    for (const std::uint32_t child : node.children) {
      const AstKind kind = ast_[child].kind;
      const bool is_written = kind != AstKind::kName && kind != AstKind::kSelect &&
                              kind != AstKind::kCall && kind != AstKind::kMethod;
      if (is_written) continue;
      // The rest of a macro is about its variable.
      if (node.kind == AstKind::kMethod && node.children.size() == 3 && !out.empty()) break;
      const Value value = interpreter_.eval(child);
      if (value.kind == Value::Kind::kNode || value.kind == Value::Kind::kListNames ||
          value.kind == Value::Kind::kStep || value.kind == Value::Kind::kType)
        continue;
      out += (out.empty() ? "" : ", ") + spans_.of(child) + " is " + shown_value(value);
    }
    return out;
  }

  void add_exists(const AstNode& node, Verdict verdict, int depth, std::size_t at) {
    const std::string& variable = ast_[node.children[1]].text;
    const std::uint32_t body = node.children[2];
    const std::vector<Value> elements = interpreter_.eval(node.children[0]).list;
    const Value* chosen = nullptr;
    std::size_t most = 0;
    for (const Value& element : elements) {
      if (interpreter_.is_exhausted()) break;
      interpreter_.push(variable, element);
      const bool is_it = interpreter_.eval(body).is_true();
      const std::size_t parts = verdict == Verdict::kTrue ? 0 : true_parts(body);
      interpreter_.pop();
      if (is_it || parts > most) chosen = &element;
      if (is_it) break;
      most = std::max(most, parts);
    }
    std::string& detail = out_->parts[at].detail;
    if (verdict == Verdict::kTrue && chosen != nullptr) {
      detail = variable + " is " + shown_value(*chosen);
    } else {
      detail = none_of(elements);
      if (chosen != nullptr) {
        detail += "; closest, " + variable + " is " + shown_value(*chosen);
      }
    }
    if (chosen == nullptr) return;
    interpreter_.push(variable, *chosen);
    add(body, depth + 1);
    interpreter_.pop();
  }

  // Of a conjunction: the element that makes most of it true is worth a look.
  std::size_t true_parts(std::uint32_t body) {
    const AstNode& node = ast_[body];
    if (node.kind != AstKind::kAnd) return 0;
    return static_cast<std::size_t>(std::ranges::count_if(
        node.children, [&](std::uint32_t child) { return interpreter_.eval(child).is_true(); }));
  }

  static std::string none_of(const std::vector<Value>& elements) {
    if (elements.empty()) return "the list is empty";
    std::string out = "none of " + std::to_string(elements.size()) + ": ";
    for (std::size_t i = 0; i < std::min(elements.size(), kElementsShown); ++i) {
      out += (i == 0 ? "" : ", ") + shown_value(elements[i]);
    }
    return elements.size() > kElementsShown ? out + ", ..." : out;
  }

  const Ast ast_;
  const SourceSpans spans_;
  Interpreter interpreter_;
  ExplainedCondition* out_ = nullptr;
};

std::string in_one_line(const SourceText& code, ConditionKind kind) {
  const Ast ast = parse_condition(code.text, kind);
  return ast.is_complete ? SourceSpans(ast, code.text).of(ast.root) : "";
}

CompileResult compile_for(const LoadedRules& rules, const std::optional<RuleScope>& project) {
  CompileOptions options;
  options.scope = project;
  options.modifiers = rules.rule_modifiers;
  return compile(rules.rule_sets, options);
}

// Nothing when the rule is not in the program.
std::optional<std::uint32_t> index_of(const Program& program, const NamedRule& named) {
  for (std::uint32_t i = 0; i < program.rules().size(); ++i) {
    const CompiledRule& rule = program.rules()[i];
    if (rule.rule.rule_id == named.rule->rule_id && rule.ruleset_id == named.set->ruleset_id) {
      return i;
    }
  }
  return std::nullopt;
}

std::string why_not_evaluated(const Rule& rule, const EventRecord& record,
                              const std::optional<RuleScope>& project) {
  if (rule.is_disabled) return "a modifier disables the rule";
  if (rule.target && project &&
      !rule.target->matches(project->provider_host, project->project_path)) {
    return "the rule is not meant for the project " + shown(project->project_path);
  }
  if (rule.event_type != record.type) {
    return "the rule looks at " + std::string(info_of(rule.event_type).name) + ", the event is a " +
           std::string(info_of(record.type).name);
  }
  if (record.type == EventType::kFileOpen && !record.text(field::file_open::kError).empty()) {
    return "the open failed; rules do not see opens that failed";
  }
  return "";
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::kTrue ? "true" : verdict == Verdict::kFalse ? "false" : "unknown";
}

Explanation explain_event(const LoadedRules& rules, const NamedRule& named,
                          const EventRecord& record, const std::optional<RuleScope>& project) {
  Explanation out;
  const Rule& rule = *named.rule;
  out.why_not_evaluated = why_not_evaluated(rule, record, project);
  if (rule.event_type != record.type) return out;  // its fields mean nothing for the rule
  const auto add = [&](std::string role, const SourceText& code) {
    ExplainedCondition& condition = out.conditions.emplace_back();
    condition.role = std::move(role);
    condition.place = code.place_of(0);
    Explainer(code, record, named.set->lists).explain(condition);
  };
  add("condition", rule.condition);
  if (rule.exceptions) add("exceptions", *rule.exceptions);
  for (const SourceText& code : rule.added_exceptions) {
    add("exceptions added by a modifier", code);
  }
  const CompileResult compiled = compile_for(rules, project);
  if (compiled.program == nullptr) return out;
  const auto index = index_of(*compiled.program, named);
  if (!index) return out;
  const auto evaluator = make_evaluator(compiled.program);
  const auto hits = evaluator->evaluate(record);
  out.fires = std::ranges::find(hits, *index) != hits.end();
  if (!out.fires && evaluator->cut_evaluations() > 0 && out.why_not_evaluated.empty()) {
    out.why_not_evaluated = "a rule looked at too many list elements and was cut off";
  }
  return out;
}

const TestEvent& event_to_explain(const LoadedRules& rules, const NamedRule& named,
                                  std::span<const TestEvent> events,
                                  const std::optional<RuleScope>& project) {
  const auto of_its_type = std::ranges::find(events, named.rule->event_type,
                                             [](const TestEvent& e) { return e.record.type; });
  const TestEvent& standard = of_its_type == events.end() ? events.front() : *of_its_type;
  if (events.size() == 1) return standard;
  const CompileResult compiled = compile_for(rules, project);
  const auto index = compiled.program ? index_of(*compiled.program, named) : std::nullopt;
  if (!index) return standard;
  const auto evaluator = make_evaluator(compiled.program);
  for (const TestEvent& event : events) {
    const auto hits = evaluator->evaluate(event.record);
    if (std::ranges::find(hits, *index) != hits.end()) return event;
  }
  return standard;
}

ExplainedCorrelation explain_correlation(const LoadedRules& rules, const NamedRule& named,
                                         std::span<const TestEvent> events,
                                         const std::optional<RuleScope>& project) {
  ExplainedCorrelation out;
  const Rule& rule = *named.rule;
  out.condition = in_one_line(rule.condition, ConditionKind::kCorrelation);
  if (rule.exceptions) out.exceptions = in_one_line(*rule.exceptions, ConditionKind::kCorrelation);
  // The rules it counts: every one of its set that it names.
  const Ast ast = parse_condition(rule.condition.text, ConditionKind::kCorrelation);
  std::set<std::string> words;
  for (const AstNode& node : ast.nodes) words.insert(node.text);
  for (const Rule& other : named.set->rules) {
    if (!other.is_correlation && words.contains(other.rule_id)) {
      out.counts.push_back({other.rule_id, 0});
    }
  }
  const CompileResult compiled = compile_for(rules, project);
  if (compiled.program == nullptr) return out;
  const auto index = index_of(*compiled.program, named);
  const auto evaluator = make_evaluator(compiled.program);
  CorrelationState state(compiled.program);
  for (const TestEvent& event : events) {
    for (std::uint32_t i = 0; i < event.times; ++i) {
      ++out.events;
      const auto hits = evaluator->evaluate(event.record);
      for (const std::uint32_t hit : hits) {
        const CompiledRule& fired = compiled.program->rules()[hit];
        if (fired.ruleset_id != named.set->ruleset_id) continue;
        const auto count = std::ranges::find(out.counts, fired.rule.rule_id,
                                             &ExplainedCorrelation::Count::rule_id);
        if (count != out.counts.end()) ++count->count;
      }
      const auto now = state.count(event.record, hits);
      if (index && std::ranges::find(now, *index) != now.end()) out.fires_at = out.events;
    }
  }
  return out;
}

}  // namespace cicd
