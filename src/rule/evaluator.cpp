// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "rule/code.h"
#include "rule/ip_prefix.h"
#include "rule/list_scan.h"
#include "rule/normalize.h"
#include "rule/process_cache.h"
#include "rule/program.h"

namespace cicd {

namespace {

// A shorter list is asked as it is: making it ready takes as long as asking a few of its elements.
constexpr std::size_t kFewestScanned = 4;

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

class CodeEvaluator : public Evaluator {
 public:
  explicit CodeEvaluator(std::shared_ptr<const CompiledProgram> program)
      : program_(std::move(program)),
        code_(program_->code),
        cache_(code_.process_memos, code_.image_memos),
        kept_(code_.event_memos, Kept::kUnknown) {
    hits_.reserve(program_->rules().size());
  }

  std::span<const std::uint32_t> evaluate(const EventRecord& record) override;
  std::uint64_t cut_evaluations() const override { return cuts_; }

 private:
  // What a variable of exists() holds.
  struct Slot {
    std::string_view text;
    std::size_t process = 0;  // position in the chain
  };

  bool run(std::uint32_t index);
  bool compute(const Instruction& in);
  bool exists(const Instruction& in);
  bool exists_named(const Instruction& in);
  bool exists_text(const Instruction& in, std::span<const std::string_view> list);
  bool exists_process(const Instruction& in, std::size_t from, std::size_t to);
  bool take_step();
  Kept* kept_of(const Instruction& in);
  std::string_view text(const TextSource& source);
  std::string_view field(std::uint8_t index);
  std::optional<IpBytes> address(const TextSource& source);
  std::int64_t number(const IntSource& source) const {
    return source.is_field ? record_->number(source.field) : source.number;
  }
  std::uint32_t child(const Instruction& in, std::uint32_t i) const {
    return code_.children[in.first_child + i];
  }

  std::shared_ptr<const CompiledProgram> program_;
  const Code& code_;
  ProcessCache cache_;
  Normalizer normalizer_;
  ListScan scan_;
  std::vector<Kept> kept_;
  std::vector<std::uint32_t> hits_;
  std::uint64_t cuts_ = 0;

  // Of the event being evaluated.
  const EventRecord* record_ = nullptr;
  ProcessView* process_ = nullptr;
  std::array<std::string_view, kMaxEventFields> fields_;
  std::array<std::string, kMaxEventFields> field_buffers_;
  std::uint32_t known_fields_ = 0;  // bits: fields_ is filled
  std::array<std::optional<IpBytes>, kMaxEventFields> addresses_;
  std::uint32_t known_addresses_ = 0;  // bits: addresses_ is filled
  std::array<Slot, kMaxExistsDepth> slots_;
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

std::span<const std::uint32_t> CodeEvaluator::evaluate(const EventRecord& record) {
  hits_.clear();
  const auto& entries = program_->entries[static_cast<std::size_t>(record.type)];
  if (entries.empty() || is_for_logs_only(record) || record.process == nullptr) return hits_;
  cache_.make_room();
  record_ = &record;
  process_ = &cache_.view(record.process);
  known_fields_ = 0;
  known_addresses_ = 0;
  std::fill(kept_.begin(), kept_.end(), Kept::kUnknown);
  for (const CompiledProgram::Entry& entry : entries) {
    steps_left_ = kMaxRuleSteps;
    if (run(entry.root)) hits_.push_back(entry.rule);
    if (steps_left_ < 0) ++cuts_;
  }
  return hits_;
}

bool CodeEvaluator::run(std::uint32_t index) {
  const Instruction& in = code_.instructions[index];
  if (in.memo == Memo::kNone) return compute(in);
  Kept& kept = *kept_of(in);
  if (kept != Kept::kUnknown) return kept == Kept::kTrue;
  const bool answer = compute(in);
  if (steps_left_ >= 0) kept = answer ? Kept::kTrue : Kept::kFalse;
  return answer && steps_left_ >= 0;
}

Kept* CodeEvaluator::kept_of(const Instruction& in) {
  switch (in.memo) {
    case Memo::kProcess:
      return &process_->kept[in.memo_index];
    case Memo::kImage:
      return &process_->chain[slots_[in.memo_slot].process]->kept[in.memo_index];
    default:
      return &kept_[in.memo_index];
  }
}

bool CodeEvaluator::compute(const Instruction& in) {
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
  }
  return false;
}

bool CodeEvaluator::exists(const Instruction& in) {
  using Kind = ListSource::Kind;
  switch (in.list.kind) {
    case Kind::kArgv:
      return exists_text(in, process_->chain[0]->argv);
    case Kind::kElementArgv:
      return exists_text(in, process_->chain[slots_[in.list.slot].process]->argv);
    case Kind::kAncestors:
      return exists_process(in, 1, process_->chain.size());
    case Kind::kDescendants:
      // From behind the current process (0) up to the ancestor: the same processes however deep
      // the question is nested, so nothing is ever expanded.
      return exists_process(in, 1, slots_[in.list.slot].process);
    case Kind::kNamed:
      break;
  }
  return exists_named(in);
}

// Most lists are asked whether a text is one of them, ends in one, ... : scanned, not interpreted.
bool CodeEvaluator::exists_named(const Instruction& in) {
  const std::vector<std::string>& list = code_.lists[in.list.named];
  const bool is_scan = list.size() >= kFewestScanned &&
                       steps_left_ >= static_cast<int>(list.size()) &&
                       scan_.prepare(code_, child(in, 0), in.slot,
                                     [this](const TextSource& source) { return text(source); });
  for (const std::string& value : list) {
    if (!take_step()) return false;
    if (is_scan) {
      if (scan_.matches(value)) return true;
      continue;
    }
    slots_[in.slot].text = value;
    if (run(child(in, 0))) return true;
  }
  return false;
}

bool CodeEvaluator::exists_text(const Instruction& in, std::span<const std::string_view> list) {
  for (const std::string_view value : list) {
    if (!take_step()) return false;
    slots_[in.slot].text = value;
    if (run(child(in, 0))) return true;
  }
  return false;
}

bool CodeEvaluator::exists_process(const Instruction& in, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    if (!take_step()) return false;
    slots_[in.slot].process = i;
    if (run(child(in, 0))) return true;
  }
  return false;
}

// False when the rule has used up its steps. Then every answer on the way out is false: the rule
// does not fire, and none of them is kept.
bool CodeEvaluator::take_step() { return steps_left_ >= 0 && --steps_left_ >= 0; }

std::string_view CodeEvaluator::text(const TextSource& source) {
  switch (source.kind) {
    case TextSource::Kind::kLiteral:
      return code_.literals[source.literal];
    case TextSource::Kind::kField:
      return field(source.index);
    case TextSource::Kind::kExecPath:
      return process_->chain[0]->exec_path;
    case TextSource::Kind::kElement:
      return slots_[source.index].text;
    case TextSource::Kind::kElementExecPath:
      return process_->chain[slots_[source.index].process]->exec_path;
  }
  return {};
}

std::string_view CodeEvaluator::field(std::uint8_t index) {
  const std::uint32_t bit = 1u << index;
  if ((known_fields_ & bit) == 0) {
    fields_[index] = normalizer_.view(record_->text(index), field_buffers_[index]);
    known_fields_ |= bit;
  }
  return fields_[index];
}

// Several ranges are usually asked of the one address of an event.
std::optional<IpBytes> CodeEvaluator::address(const TextSource& source) {
  if (source.kind != TextSource::Kind::kField) return parse_ip(text(source));
  const std::uint32_t bit = 1u << source.index;
  if ((known_addresses_ & bit) == 0) {
    addresses_[source.index] = parse_ip(field(source.index));
    known_addresses_ |= bit;
  }
  return addresses_[source.index];
}

}  // namespace

std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Program> program) {
  // CompiledProgram is the one kind of Program that compile() makes.
  return std::make_unique<CodeEvaluator>(
      std::static_pointer_cast<const CompiledProgram>(std::move(program)));
}

}  // namespace cicd
