// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include "rule/ast.h"
#include "rule/checked.h"
#include "rule/code.h"
#include "rule/condition_cost.h"
#include "rule/lowering.h"
#include "rule/modifiers.h"
#include "rule/program.h"

namespace cicd {

namespace {

// Each may take Pattern::kMaxBytes.
constexpr std::size_t kMaxPatterns = 1000;

class Compiler {
 public:
  explicit Compiler(const CompileOptions& options)
      : options_(options),
        program_(std::make_shared<CompiledProgram>()),
        lowering_(program_->code) {}

  CompileResult run(const std::vector<RuleSet>& rule_sets) {
    std::vector<RuleSet> used;
    for (const RuleSet& set : rule_sets) {
      if (seen_.insert(set.ruleset_id).second) {
        used.push_back(set);
      } else {
        report(Diagnostic::Severity::kWarning, set.place, "",
               "rule set \"" + shown(set.ruleset_id) +
                   "\" was there before; the first one is used and this one is not");
      }
    }
    apply_modifiers(options_.modifiers, used, out_.diagnostics);
    for (const RuleSet& set : used) add_set(set);
    if (program_->code.patterns.size() > kMaxPatterns) {
      report(Diagnostic::Severity::kError, {}, "",
             "the rules have more than 1000 different regular expressions; join some with |");
    }
    if (!has_errors(out_.diagnostics)) out_.program = program_;
    return std::move(out_);
  }

 private:
  void add_set(const RuleSet& set) {
    CountedRules counted;
    for (const Rule& rule : set.rules) {
      std::optional<std::uint32_t>& index = counted[rule.rule_id].index;
      if (rule.is_correlation) {
        counted[rule.rule_id].is_correlation = true;
      } else if (const auto root = lower_rule(rule, set)) {
        index = add_rule(rule, set);
        const auto type = static_cast<std::size_t>(rule.event_type);
        program_->entries[type].push_back({*index, *root});
      }
    }
    for (const Rule& rule : set.rules) {
      if (rule.is_correlation) add_correlation(rule, set, counted);
    }
  }

  std::uint32_t add_rule(const Rule& rule, const RuleSet& set) {
    const int max_alerts = rule.max_alerts == 0 ? kDefaultMaxAlerts : rule.max_alerts;
    program_->rules_.push_back({set.ruleset_id, set.revision, rule, max_alerts});
    RuleAction& action = program_->rules_.back().rule.action;
    if (options_.monitor_mode && action == RuleAction::kTerminate) action = RuleAction::kDetect;
    return static_cast<std::uint32_t>(program_->rules_.size() - 1);
  }

  // Nothing when the rule has mistakes or is not in the program.
  std::optional<std::uint32_t> lower_rule(const Rule& rule, const RuleSet& set) {
    const auto condition = check(rule, rule.condition, set);
    const auto exceptions = check_exceptions(rule, set);
    if (!condition || !exceptions || rule.is_disabled || !is_meant(rule)) return std::nullopt;
    return lowering_.rule(*condition, *exceptions, set.lists);
  }

  void add_correlation(const Rule& rule, const RuleSet& set, const CountedRules& counted) {
    Correlation out;
    bool is_good = true;
    const auto code_of = [&](const SourceText& code) {
      const Ast ast = parse_condition(code.text, ConditionKind::kCorrelation);
      std::vector<CodeMistake> mistakes = ast.mistakes;
      CorrelationCode result;
      if (ast.is_complete) result = check_correlation(ast, counted, set.language, mistakes);
      is_good &= !has_errors(mistakes);
      report_mistakes(rule, code, std::move(mistakes));
      return result;
    };
    out.condition = code_of(rule.condition);
    if (rule.exceptions) out.exceptions.push_back(code_of(*rule.exceptions));
    for (const SourceText& code : rule.added_exceptions) out.exceptions.push_back(code_of(code));
    if (!is_good || rule.is_disabled || !is_meant(rule)) return;
    out.rule = add_rule(rule, set);
    program_->correlations_.push_back(std::move(out));
  }

  // Nothing when one of them has a mistake.
  std::optional<std::vector<Checked>> check_exceptions(const Rule& rule, const RuleSet& set) {
    std::vector<Checked> out;
    bool is_good = true;
    const auto add = [&](const SourceText& code) {
      auto checked = check(rule, code, set);
      is_good &= checked.has_value();
      if (checked) out.push_back(std::move(*checked));
    };
    if (rule.exceptions) add(*rule.exceptions);
    std::ranges::for_each(rule.added_exceptions, add);
    if (!is_good) return std::nullopt;
    return out;
  }

  bool is_meant(const Rule& rule) {
    if (!rule.target) return true;
    if (options_.scope) {
      return rule.target->matches(options_.scope->provider_host, options_.scope->project_path);
    }
    if (!options_.checks_only) {
      report(Diagnostic::Severity::kWarning, rule.place, rule.rule_id,
             "the target is not applied here: the rule is used for every project");
    }
    return true;
  }

  std::optional<Checked> check(const Rule& rule, const SourceText& code, const RuleSet& set) {
    const Ast ast = parse_condition(code.text);
    std::vector<CodeMistake> mistakes = ast.mistakes;
    std::optional<Checked> checked;
    if (ast.is_complete) {
      checked = check_condition(ast, rule.event_type, set.lists, set.language, mistakes);
    }
    const bool is_good = !has_errors(mistakes);
    if (is_good && checked) warn_of_cost(*checked, ast[ast.root].offset, set.lists, mistakes);
    report_mistakes(rule, code, std::move(mistakes));
    if (!is_good) return std::nullopt;
    return checked;
  }

  static void warn_of_cost(const Checked& checked, std::uint32_t offset, const NamedLists& lists,
                           std::vector<CodeMistake>& mistakes) {
    const std::uint64_t cost = cost_of(checked, lists);
    if (cost <= kCostAdvice) return;
    mistakes.push_back({offset,
                        "the condition costs about " + std::to_string(cost) + ", more than " +
                            std::to_string(kCostAdvice) +
                            ": lists inside lists multiply; put a cheap test before them with &&, "
                            "or make the lists shorter",
                        true});
  }

  void report_mistakes(const Rule& rule, const SourceText& code,
                       std::vector<CodeMistake> mistakes) {
    std::stable_sort(
        mistakes.begin(), mistakes.end(),
        [](const CodeMistake& a, const CodeMistake& b) { return a.offset < b.offset; });
    for (const CodeMistake& mistake : mistakes) {
      report(mistake.is_warning ? Diagnostic::Severity::kWarning : Diagnostic::Severity::kError,
             code.place_of(mistake.offset), rule.rule_id, mistake.text);
    }
  }

  void report(Diagnostic::Severity severity, const SourcePlace& place, const std::string& rule_id,
              std::string text) {
    add_diagnostic(out_.diagnostics,
                   {severity, place.file, place.line, place.column, rule_id, std::move(text)});
  }

  const CompileOptions& options_;
  std::shared_ptr<CompiledProgram> program_;
  Lowering lowering_;
  CompileResult out_;
  std::set<std::string> seen_;
};

}  // namespace

CompileResult compile(const std::vector<RuleSet>& rule_sets, const CompileOptions& options) {
  return Compiler(options).run(rule_sets);
}

}  // namespace cicd
