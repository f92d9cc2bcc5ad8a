// SPDX-License-Identifier: Apache-2.0
#include "rule/correlation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "rule/program.h"

namespace cicd {

namespace {

using Op = CorrelationNode::Op;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

std::int64_t sum(std::int64_t left, std::int64_t right) {
  std::int64_t out = 0;
  if (!__builtin_add_overflow(left, right, &out)) return out;
  return left < 0 ? kLeast : kMost;
}

std::int64_t difference(std::int64_t left, std::int64_t right) {
  std::int64_t out = 0;
  if (!__builtin_sub_overflow(left, right, &out)) return out;
  return left < 0 ? kLeast : kMost;
}

bool compare(CompareOp op, std::int64_t left, std::int64_t right) {
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

}  // namespace

CorrelationState::CorrelationState(std::shared_ptr<const Program> program)
    : program_(std::move(program)) {
  if (program_ == nullptr || program_->correlations().empty()) return;
  const std::span<const Correlation> correlations = program_->correlations();
  counts_.resize(program_->rules().size());
  users_.resize(counts_.size());
  memories_.resize(correlations.size());
  has_fired_.resize(correlations.size());
  is_waiting_.resize(correlations.size());
  waiting_.reserve(correlations.size());
  out_.reserve(correlations.size());
  for (std::uint32_t i = 0; i < correlations.size(); ++i) {
    remember(correlations[i].condition, i);
    for (const CorrelationCode& code : correlations[i].exceptions) remember(code, i);
  }
}

void CorrelationState::remember(const CorrelationCode& code, std::uint32_t correlation) {
  Memory memory{&code, std::vector<bool>(code.withins.size()), {}};
  const auto use = [&](std::uint32_t rule) {
    std::vector<std::uint32_t>& users = users_[rule];
    if (users.empty() || users.back() != correlation) users.push_back(correlation);
  };
  for (const CorrelationNode& node : code.nodes) {
    if (node.op == Op::kCount) use(node.rule);
  }
  if (!code.withins.empty()) times_.resize(counts_.size());
  for (const CorrelationCode::Within& within : code.withins) {
    for (const std::uint32_t rule : within.rules) {
      times_[rule].use_window(static_cast<std::uint64_t>(within.window_ns));
    }
  }
  for (const std::vector<std::uint32_t>& rules : code.sequences) {
    std::ranges::for_each(rules, use);
    memory.sequences.emplace_back(rules);
  }
  memories_[correlation].push_back(std::move(memory));
}

std::span<const std::uint32_t> CorrelationState::count(const EventRecord& record,
                                                       std::span<const std::uint32_t> fired) {
  out_.clear();
  if (counts_.empty()) return out_;
  for (const std::uint32_t rule : fired) {
    counts_[rule] = sum(counts_[rule], 1);
    if (!times_.empty() && times_[rule].is_used()) times_[rule].add(record.time_ns);
    for (const std::uint32_t user : users_[rule]) {
      if (has_fired_[user] || is_waiting_[user]) continue;
      is_waiting_[user] = true;
      waiting_.push_back(user);
    }
  }
  std::ranges::sort(waiting_);
  for (const std::uint32_t index : waiting_) {
    is_waiting_[index] = false;
    ++evaluations_;
    for (Memory& memory : memories_[index]) update(memory, record, fired);
    if (!is_true(index)) continue;
    has_fired_[index] = true;
    out_.push_back(program_->correlations()[index].rule);
  }
  waiting_.clear();
  return out_;
}

void CorrelationState::update(Memory& memory, const EventRecord& record,
                              std::span<const std::uint32_t> fired) {
  for (std::size_t i = 0; i < memory.has_held.size(); ++i) {
    if (!memory.has_held[i]) {
      memory.has_held[i] = holds(memory, memory.code->withins[i], record.time_ns);
    }
  }
  for (ActSequence& sequence : memory.sequences) sequence.add(record, fired);
}

// After hits at `time_ns`: the windows that end there, and those of later hits that hold them too
// (events of several processors need not come in order).
bool CorrelationState::holds(const Memory& memory, const CorrelationCode::Within& within,
                             std::uint64_t time_ns) const {
  const auto window_ns = static_cast<std::uint64_t>(within.window_ns);
  const auto holds_at = [&](std::uint64_t end_ns) {
    const Window window{end_ns >= window_ns ? end_ns - window_ns + 1 : 0, end_ns};
    return value(memory, within.condition, &window) != 0;
  };
  bool is_hit = false;
  for (const std::uint32_t rule : within.rules) {
    const HitTimes& times = times_[rule];
    const std::size_t after = times.first_after(time_ns);
    is_hit |= after > 0 && times[after - 1] == time_ns;
    for (std::size_t i = after; i < times.size() && times[i] - time_ns < window_ns; ++i) {
      if (holds_at(times[i])) return true;
    }
  }
  return is_hit && holds_at(time_ns);
}

bool CorrelationState::is_true(std::uint32_t correlation) const {
  const std::vector<Memory>& memories = memories_[correlation];
  const auto holds = [&](const Memory& memory) {
    return value(memory, memory.code->root, nullptr) != 0;
  };
  return holds(memories.front()) && std::none_of(memories.begin() + 1, memories.end(), holds);
}

std::uint64_t CorrelationState::forgotten() const {
  std::uint64_t out = 0;
  for (const HitTimes& times : times_) out += times.forgotten();
  for (const std::vector<Memory>& memories : memories_) {
    for (const Memory& memory : memories) {
      for (const ActSequence& sequence : memory.sequences) out += sequence.forgotten();
    }
  }
  return out;
}

std::int64_t CorrelationState::count_of(std::uint32_t rule, const Window* window) const {
  if (window == nullptr) return counts_[rule];
  return static_cast<std::int64_t>(times_[rule].count(window->from_ns, window->until_ns));
}

std::int64_t CorrelationState::value(const Memory& memory, std::uint32_t index,
                                     const Window* window) const {
  const CorrelationNode& node = memory.code->nodes[index];
  const auto child = [&](std::size_t i) { return value(memory, node.children[i], window); };
  const auto is_true = [&](std::uint32_t of) { return value(memory, of, window) != 0; };
  switch (node.op) {
    case Op::kNumber:
      return node.number;
    case Op::kCount:
      return count_of(node.rule, window);
    case Op::kAdd:
      return sum(child(0), child(1));
    case Op::kSubtract:
      return difference(child(0), child(1));
    case Op::kCompare:
      return compare(node.compare, child(0), child(1));
    case Op::kNot:
      return child(0) == 0;
    case Op::kAnd:
      return std::ranges::all_of(node.children, is_true);
    case Op::kOr:
      return std::ranges::any_of(node.children, is_true);
    case Op::kChoose:
      return child(0) != 0 ? child(1) : child(2);
    case Op::kWithin:
      return memory.has_held[node.rule];
    case Op::kSequence:
      return memory.sequences[node.rule].is_complete();
  }
  return 0;
}

}  // namespace cicd
