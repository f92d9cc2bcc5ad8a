// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/test_runner.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "report/terminal_text.h"
#include "rule_tools/rule_names.h"

namespace cicd {

namespace {

using Wants = TestCase::Wants;

constexpr int kValueColumns = 60;

class Runner {
 public:
  Runner(const TestFile& file, TestReport& report) : file_(file), report_(report) {}

  void run() {
    if (!load()) return;
    ++report_.files;
    for (const RuleTest& test : file_.tests) {
      ++report_.tests;
      for (const TestCase& one : test.cases) run_case(test, one);
    }
  }

 private:
  // Also false when a test names a rule that is not there: no verdict on half a file.
  bool load() {
    loaded_ = load_named_rules(file_.rules);
    drop_duplicate_sets(loaded_.rule_sets);
    CompileOptions options;
    options.scope = file_.project;
    options.modifiers = loaded_.rule_modifiers;
    CompileResult compiled = compile(loaded_.rule_sets, options);
    bool is_good = add_errors(loaded_.diagnostics);
    is_good = add_errors(compiled.diagnostics) && is_good;
    if (!is_good) return false;
    program_ = compiled.program;
    evaluator_ = make_evaluator(program_);
    names_.emplace(loaded_.rule_sets);
    for (const NamedRule& rule : names_->all()) {
      report_.coverage[{rule.set->ruleset_id, rule.rule->rule_id}].place = rule.rule->place;
    }
    for (const RuleTest& test : file_.tests) {
      if (test.rule) is_good = is_known(*test.rule) && is_good;
      for (const TestCase& one : test.cases) {
        if (test.rule) continue;
        for (const RuleReference& rule : one.expected) is_good = is_known(rule) && is_good;
      }
    }
    return is_good;
  }

  bool add_errors(const std::vector<Diagnostic>& diagnostics) {
    bool is_good = true;
    for (const Diagnostic& diagnostic : diagnostics) {
      if (diagnostic.severity != Diagnostic::Severity::kError) continue;
      is_good = false;
      // Several test files may be of the same rules.
      const auto is_same = [&](const Diagnostic& other) {
        return other.format() == diagnostic.format();
      };
      if (std::ranges::none_of(report_.diagnostics, is_same)) {
        add_diagnostic(report_.diagnostics, diagnostic);
      }
    }
    return is_good;
  }

  bool is_known(const RuleReference& reference) {
    if (report_.diagnostics.size() >= kMaxDiagnostics) return false;
    const auto rule = names_->find(reference.name);
    if (rule) return true;
    std::string text = rule.error().text;
    if (!rule.error().hint.empty()) text += "; " + rule.error().hint;
    add_diagnostic(report_.diagnostics,
                   {Diagnostic::Severity::kError, reference.place.file, reference.place.line,
                    reference.place.column, "", std::move(text)});
    return false;
  }

  RuleCoverage& coverage_of(const NamedRule& rule) {
    return report_.coverage[{rule.set->ruleset_id, rule.rule->rule_id}];
  }
  std::string short_name(const NamedRule& rule) const {
    return names_->short_name(rule.set->ruleset_id, rule.rule->rule_id);
  }

  // Names of the rules that fire in this job, in the order they first do.
  std::vector<std::string> fired_by(const TestCase& one) {
    std::vector<std::string> out;
    std::set<std::uint32_t> seen;
    const auto add = [&](std::span<const std::uint32_t> hits) {
      for (const std::uint32_t hit : hits) {
        if (!seen.insert(hit).second) continue;
        const CompiledRule& rule = program_->rules()[hit];
        out.push_back(names_->short_name(rule.ruleset_id, rule.rule.rule_id));
      }
    };
    CorrelationState correlations(program_);
    for (const TestEvent& event : one.events) {
      for (std::uint32_t i = 0; i < event.times; ++i) {
        const auto hits = evaluator_->evaluate(event.record);
        add(hits);
        add(correlations.count(event.record, hits));
      }
    }
    return out;
  }

  void run_case(const RuleTest& test, const TestCase& one) {
    ++report_.cases;
    std::vector<std::string> expected;
    for (const RuleReference& reference : one.expected) {
      const auto rule = names_->find(reference.name);
      if (!rule) continue;  // load() has seen to it
      expected.push_back(short_name(*rule));
      RuleCoverage& coverage = coverage_of(*rule);
      ++(one.wants == Wants::kFires   ? coverage.fires
         : one.wants == Wants::kQuiet ? coverage.quiet
                                      : coverage.expected);
    }
    if (one.wants == Wants::kExactly) count_absent(one, expected);
    const std::uint64_t cut_before = evaluator_->cut_evaluations();
    TestFailure failure;
    failure.actual = fired_by(one);
    const std::set<std::string> fired(failure.actual.begin(), failure.actual.end());
    const std::set<std::string> wanted(expected.begin(), expected.end());
    const auto into = [](std::vector<std::string>& list) { return std::back_inserter(list); };
    if (one.wants == Wants::kQuiet) {
      std::ranges::set_intersection(wanted, fired, into(failure.surplus));
    } else {
      std::ranges::set_difference(wanted, fired, into(failure.missing));
    }
    if (one.wants == Wants::kExactly) {
      std::ranges::set_difference(fired, wanted, into(failure.surplus));
    }
    if (failure.missing.empty() && failure.surplus.empty()) return;
    failure.place = one.place;
    failure.test = !test.name.empty() ? test.name : test.rule ? test.rule->name : "unnamed test";
    failure.wants = one.wants;
    failure.expected = std::move(expected);
    failure.was_cut = evaluator_->cut_evaluations() != cut_before;
    failure.event_count = one.events.size();
    if (!one.events.empty()) failure.event = event_line(one.events[0].record);
    report_.failures.push_back(std::move(failure));
  }

  void count_absent(const TestCase& one, const std::vector<std::string>& expected) {
    const std::set<std::string> wanted(expected.begin(), expected.end());
    std::set<EventType> types;
    for (const TestEvent& event : one.events) types.insert(event.record.type);
    for (const NamedRule& rule : names_->all()) {
      const bool could_fire = rule.rule->is_correlation || types.contains(rule.rule->event_type);
      if (could_fire && !wanted.contains(short_name(rule))) ++coverage_of(rule).absent;
    }
  }

  const TestFile& file_;
  TestReport& report_;
  LoadedRules loaded_;
  std::optional<RuleNames> names_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Evaluator> evaluator_;
};

}  // namespace

void run_test_file(const TestFile& file, TestReport& report) {
  if (has_errors(file.diagnostics)) {
    for (const Diagnostic& diagnostic : file.diagnostics) {
      add_diagnostic(report.diagnostics, diagnostic);
    }
    return;
  }
  Runner(file, report).run();
}

TestReport run_tests(const std::vector<std::string>& paths) {
  TestReport report;
  for (const std::string& path : find_test_files(paths, report.diagnostics)) {
    run_test_file(*read_test_file(path), report);
  }
  return report;
}

std::string event_line(const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  std::string out(info.name);
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    const FieldInfo& field = info.fields[i];
    const FieldValue& value = record.fields[i];
    if (field.type == FieldType::kString ? value.text().empty() : value.number() == 0) continue;
    out.append(" ").append(field.name).append("=");
    if (field.type == FieldType::kString) {
      out += fit(value.text(), kValueColumns);
    } else {
      out += field.type == FieldType::kBool ? "true" : std::to_string(value.number());
    }
  }
  out.append(" by ").append(fit(record.process->exec_path(), kValueColumns));
  return out;
}

}  // namespace cicd
