// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "rule/answer_table.h"
#include "rule/event_text.h"
#include "rule/ip_prefix.h"
#include "rule/plan.h"
#include "rule/process_cache.h"
#include "rule/program.h"
#include "rule/text_pattern.h"
#include "rule/value.h"

namespace cicd {

namespace {

template <typename T>
bool compare(CompareOp op, const T& left, const T& right) {
  switch (op) {
    case CompareOp::kEqual:
      return left == right;
    case CompareOp::kNotEqual:
      return left != right;
    case CompareOp::kLess:
      return left < right;
    case CompareOp::kLessEqual:
      return left <= right;
    case CompareOp::kGreater:
      return left > right;
    case CompareOp::kGreaterEqual:
      return left >= right;
  }
  return false;
}

std::size_t most_entries(const Plan& plan) {
  std::size_t most = 0;
  for (const auto& entries : plan.entries) most = std::max(most, entries.size());
  return most;
}

class PlanEvaluator : public Evaluator, private ValueSource {
 public:
  explicit PlanEvaluator(std::shared_ptr<const Plan> plan)
      : plan_(std::move(plan)),
        code_(plan_->code),
        scopes_(plan_->programs.size()),
        candidates_(plan_->index, most_entries(*plan_), cache_),
        number_texts_(code_.number_texts) {
    for (std::size_t i = 0; i < scopes_.size(); ++i) {
      if (plan_->programs[i]) scopes_[i].hits.reserve(plan_->programs[i]->rules().size());
    }
  }

  std::span<const std::uint32_t> evaluate(const EventRecord& record) override;
  std::span<const std::uint32_t> hits(std::size_t scope) const override {
    return scopes_[scope].hits;
  }
  std::uint64_t cut_evaluations(std::size_t scope = 0) const override {
    return scopes_[scope].cuts;
  }

 private:
  // What a variable of exists() holds.
  struct Slot {
    std::string_view text;
    ProcessView* process = nullptr;
  };
  struct Scope {
    std::vector<std::uint32_t> hits;
    std::uint64_t cuts = 0;
  };

  void evaluate(const Plan::Entry& entry);
  bool run(std::uint32_t index);
  bool compute(const Instruction& in);
  bool text_in(const Instruction& in);
  bool exists(const Instruction& in);
  bool exists_named(const Instruction& in);
  bool exists_text(const Instruction& in, std::span<const std::string_view> list);
  bool exists_process(const Instruction& in, ProcessView* from, const ProcessView* to);
  bool exists_above(const Instruction& in, std::uint32_t index);
  bool has_one_element(const Instruction& in);
  bool has_one_child(const Instruction& in);
  std::span<const std::string_view> arguments(const ListSource& list) const;
  bool equal_lists(const Instruction& in);
  std::size_t size_of(const ListSource& list) override;
  std::string_view text_at(const ListSource& list, std::size_t index) const;
  bool compare_found(const Instruction& in);
  std::optional<Value> value(std::uint32_t index) {
    return find_value(code_.values, index, *this, number_texts_);
  }
  bool is_true(std::uint32_t instruction) override { return run(instruction); }
  std::string_view text_of(const TextSource& source) override { return text(source); }
  std::int64_t field_number(std::uint8_t index) override { return record_->number(index); }
  std::uint32_t uid_of(std::uint8_t slot) override {
    return (slot == kNoVariable ? process_ : slots_[slot].process)->uid;
  }
  std::string_view step_text(bool is_name);
  bool take_step();
  std::uint64_t holder_of(const Instruction& in) const;
  std::string_view text(const TextSource& source);
  std::optional<IpBytes> address(const TextSource& source);
  std::int64_t number(const IntSource& source) const {
    return source.is_field ? record_->number(source.field) : source.number;
  }
  std::uint32_t child(const Instruction& in, std::uint32_t i) const {
    return code_.children[in.first_child + i];
  }

  std::shared_ptr<const Plan> plan_;
  const Code& code_;
  std::vector<Scope> scopes_;
  ProcessCache cache_;
  AnswerTable answers_;
  Candidates candidates_;
  std::vector<NumberText> number_texts_;
  Normalizer normalizer_;
  std::array<std::string, 2> step_buffers_;

  // Of the event being evaluated.
  const EventRecord* record_ = nullptr;
  std::uint64_t event_serial_ = 0;
  ProcessView* process_ = nullptr;
  EventText text_;
  std::array<Slot, kMaxSlots> slots_;
  int steps_left_ = 0;
};

// Opens that failed, and answers to questions that were an event of their own.
bool is_for_logs_only(const EventRecord& record) {
  switch (record.type) {
    case EventType::kFileOpen:
      return !record.text(field::file_open::kError).empty();
    case EventType::kDomain:
      return !record.text(field::domain::kResult).empty();
    default:
      return false;
  }
}

std::span<const std::uint32_t> PlanEvaluator::evaluate(const EventRecord& record) {
  for (Scope& scope : scopes_) scope.hits.clear();
  const auto& entries = plan_->entries[static_cast<std::size_t>(record.type)];
  if (entries.empty() || is_for_logs_only(record) || record.process == nullptr) return hits(0);
  cache_.make_room();
  record_ = &record;
  process_ = &cache_.view(record.process);
  event_serial_ = cache_.next_serial();
  text_.begin(record);
  for (const std::uint32_t entry : candidates_.find(record, *process_, text_)) {
    evaluate(entries[entry]);
  }
  for (Scope& scope : scopes_) {
    if (scope.hits.size() > 1) std::sort(scope.hits.begin(), scope.hits.end());
  }
  return hits(0);
}

void PlanEvaluator::evaluate(const Plan::Entry& entry) {
  steps_left_ = kMaxRuleSteps;
  const bool fires = run(entry.root);
  const bool is_cut = steps_left_ < 0;
  if (!fires && !is_cut) return;
  for (const Plan::Owner& owner : entry.owners) {
    if (is_cut) {
      ++scopes_[owner.scope].cuts;
    } else {
      scopes_[owner.scope].hits.push_back(owner.rule);
    }
  }
}

bool PlanEvaluator::run(std::uint32_t index) {
  const Instruction& in = code_.instructions[index];
  if (in.memo == Memo::kNone) return compute(in);
  if (in.memo == Memo::kAbove) return exists_above(in, index);
  const std::uint64_t holder = holder_of(in);
  const Kept kept = answers_.find(holder, index);
  if (kept != Kept::kUnknown) return kept == Kept::kTrue;
  const bool answer = compute(in);
  if (steps_left_ < 0) return false;
  answers_.keep(holder, index, answer);
  return answer;
}

std::uint64_t PlanEvaluator::holder_of(const Instruction& in) const {
  switch (in.memo) {
    case Memo::kProcess:
      return process_->serial;
    case Memo::kOwnImage:
      return process_->image->serial;
    case Memo::kImage:
      return slots_[in.memo_slot].process->image->serial;
    default:
      return event_serial_;
  }
}

bool PlanEvaluator::compute(const Instruction& in) {
  switch (in.op) {
    case Op::kConstant:
      return in.number[0].number != 0;
    case Op::kBoolField:
      return record_->number(in.field) != 0;
    case Op::kNot:
      return !run(child(in, 0)) && steps_left_ >= 0;
    case Op::kAnd:
      for (std::uint32_t i = 0; i < in.child_count; ++i) {
        if (!run(child(in, i))) return false;
      }
      return true;
    case Op::kOr:
      for (std::uint32_t i = 0; i < in.child_count; ++i) {
        if (run(child(in, i))) return true;
      }
      return false;
    case Op::kTextIn:
      return text_in(in);
    case Op::kTextCompare:
      return compare(in.compare, text(in.text[0]), text(in.text[1]));
    case Op::kStartsWith:
      return text(in.text[0]).starts_with(text(in.text[1]));
    case Op::kEndsWith:
      return text(in.text[0]).ends_with(text(in.text[1]));
    case Op::kContains:
      return text(in.text[0]).find(text(in.text[1])) != std::string_view::npos;
    case Op::kIntCompare:
      return compare(in.compare, number(in.number[0]), number(in.number[1]));
    case Op::kBoolCompare: {
      const bool left = run(child(in, 0));
      const bool right = run(child(in, 1));
      return compare(in.compare, left, right) && steps_left_ >= 0;
    }
    case Op::kInIpRange: {
      const auto ip = address(in.text[0]);
      return ip && code_.prefixes[in.index].contains(*ip);
    }
    case Op::kExists:
      return exists(in);
    case Op::kExistsOne:
      return has_one_element(in);
    case Op::kExactlyOne:
      return has_one_child(in);
    case Op::kListCompare:
      return equal_lists(in) == (in.compare == CompareOp::kEqual);
    case Op::kMatches:
      return code_.patterns[in.index]->matches(text(in.text[0]));
    case Op::kValueCompare:
      return compare_found(in);
    case Op::kHasValue:
      return value(in.value[0]).has_value();
  }
  return false;
}

bool PlanEvaluator::text_in(const Instruction& in) {
  const std::string_view asked = text(in.text[0]);
  const TextMatcher* matcher = plan_->matchers[in.index].get();
  return matcher != nullptr ? matcher->fits_any(asked)
                            : fits_any(code_, code_.sets[in.index], asked);
}

bool PlanEvaluator::exists(const Instruction& in) {
  using Kind = ListSource::Kind;
  switch (in.list.kind) {
    case Kind::kArgv:
      return exists_text(in, cache_.argv(*process_->image));
    case Kind::kElementArgv:
      return exists_text(in, cache_.argv(*slots_[in.list.slot].process->image));
    case Kind::kAncestors:
      return exists_process(in, process_->above, nullptr);
    case Kind::kDescendants:
      // From behind the current process up to the ancestor: the same processes however deep the
      // question is nested, so nothing is ever expanded.
      return exists_process(in, process_->above, slots_[in.list.slot].process);
    case Kind::kNamed:
      break;
  }
  return exists_named(in);
}

// What Lowering could not make a set of.
bool PlanEvaluator::exists_named(const Instruction& in) {
  for (const std::string& value : code_.lists[in.list.named]) {
    if (!take_step()) return false;
    slots_[in.slot].text = value;
    if (run(child(in, 0))) return true;
  }
  return false;
}

bool PlanEvaluator::exists_text(const Instruction& in, std::span<const std::string_view> list) {
  for (const std::string_view value : list) {
    if (!take_step()) return false;
    slots_[in.slot].text = value;
    if (run(child(in, 0))) return true;
  }
  return false;
}

bool PlanEvaluator::exists_process(const Instruction& in, ProcessView* from,
                                   const ProcessView* to) {
  for (ProcessView* at = from; at != to; at = at->above) {
    if (!take_step()) return false;
    slots_[in.slot].process = at;
    if (run(child(in, 0))) return true;
  }
  return false;
}

// The answer for a process and all above it is that of its image, or that of its parent: the walk
// ends where it is known already.
bool PlanEvaluator::exists_above(const Instruction& in, std::uint32_t index) {
  bool answer = false;
  ProcessView* at = process_->above;
  for (; at != nullptr && !answer; at = at->above) {
    const Kept kept = answers_.find(at->serial, index);
    answer = kept == Kept::kTrue;
    if (kept != Kept::kUnknown) break;
    if (!take_step()) return false;
    slots_[in.slot].process = at;
    answer = run(child(in, 0));
  }
  if (steps_left_ < 0) return false;
  for (ProcessView* below = process_->above; below != at; below = below->above) {
    answers_.keep(below->serial, index, answer);
  }
  return answer;
}

bool PlanEvaluator::has_one_element(const Instruction& in) {
  const bool of_processes = in.list.kind == ListSource::Kind::kAncestors ||
                            in.list.kind == ListSource::Kind::kDescendants;
  const std::size_t size = size_of(in.list);
  ProcessView* process = process_->above;
  int found = 0;
  for (std::size_t i = 0; i < size && found < 2; ++i) {
    if (!take_step()) return false;
    if (of_processes) {
      slots_[in.slot].process = process;
      process = process->above;
    } else {
      slots_[in.slot].text = text_at(in.list, i);
    }
    if (run(child(in, 0))) ++found;
  }
  return found == 1 && steps_left_ >= 0;
}

bool PlanEvaluator::has_one_child(const Instruction& in) {
  int found = 0;
  for (std::uint32_t i = 0; i < in.child_count && found < 2; ++i) found += run(child(in, i));
  return found == 1 && steps_left_ >= 0;
}

std::size_t PlanEvaluator::size_of(const ListSource& list) {
  using Kind = ListSource::Kind;
  if (list.kind == Kind::kNamed) return code_.lists[list.named].size();
  if (list.kind == Kind::kArgv || list.kind == Kind::kElementArgv) return arguments(list).size();
  const ProcessView* end = list.kind == Kind::kAncestors ? nullptr : slots_[list.slot].process;
  std::size_t size = 0;
  for (const ProcessView* at = process_->above; at != end; at = at->above) ++size;
  return size;
}

std::span<const std::string_view> PlanEvaluator::arguments(const ListSource& list) const {
  const bool own = list.kind == ListSource::Kind::kArgv;
  return cache_.argv(*(own ? process_ : slots_[list.slot].process)->image);
}

std::string_view PlanEvaluator::text_at(const ListSource& list, std::size_t index) const {
  if (list.kind == ListSource::Kind::kNamed) return code_.lists[list.named][index];
  return arguments(list)[index];
}

bool PlanEvaluator::equal_lists(const Instruction& in) {
  const std::size_t size = size_of(in.list);
  if (size != size_of(in.other_list)) return false;
  for (std::size_t i = 0; i < size; ++i) {
    if (text_at(in.list, i) != text_at(in.other_list, i)) return false;
  }
  return true;
}

bool PlanEvaluator::compare_found(const Instruction& in) {
  const auto left = value(in.value[0]);
  if (!left) return false;
  const auto right = value(in.value[1]);
  return right && holds(in.compare, cicd::compare_values(*left, *right)) && steps_left_ >= 0;
}

// False when the rule has used up its steps. Then every answer on the way out is false: the rule
// does not fire, and none of them is kept.
bool PlanEvaluator::take_step() { return steps_left_ >= 0 && --steps_left_ >= 0; }

std::string_view PlanEvaluator::text(const TextSource& source) {
  switch (source.kind) {
    case TextSource::Kind::kLiteral:
      return code_.literals[source.literal];
    case TextSource::Kind::kField:
      return text_.text(source.index);
    case TextSource::Kind::kExecPath:
      return process_->image->exec_path;
    case TextSource::Kind::kElement:
      return slots_[source.index].text;
    case TextSource::Kind::kElementExecPath:
      return slots_[source.index].process->image->exec_path;
    case TextSource::Kind::kCwd:
      return process_->image->cwd;
    case TextSource::Kind::kElementCwd:
      return slots_[source.index].process->image->cwd;
    case TextSource::Kind::kStepId:
    case TextSource::Kind::kStepName:
      return step_text(source.kind == TextSource::Kind::kStepName);
    case TextSource::Kind::kValue: {
      const auto found = value(source.literal);
      return found ? found->text : std::string_view();
    }
  }
  return {};
}

std::string_view PlanEvaluator::step_text(bool is_name) {
  if (record_->step == nullptr) return {};
  const std::string& text = is_name ? record_->step->name : record_->step->id;
  return normalizer_.view(text, step_buffers_[is_name]);
}

std::optional<IpBytes> PlanEvaluator::address(const TextSource& source) {
  if (source.kind == TextSource::Kind::kField) return text_.address(source.index);
  return parse_ip(text(source));
}

}  // namespace

std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Plan> plan) {
  return std::make_unique<PlanEvaluator>(std::move(plan));
}

std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Program> program) {
  return make_evaluator(link({std::move(program)}));
}

}  // namespace cicd
