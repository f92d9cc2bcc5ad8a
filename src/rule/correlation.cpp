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
  has_fired_.resize(correlations.size());
  is_waiting_.resize(correlations.size());
  waiting_.reserve(correlations.size());
  out_.reserve(correlations.size());
  for (std::uint32_t i = 0; i < correlations.size(); ++i) {
    const auto use = [&](const CorrelationCode& code) {
      for (const CorrelationNode& node : code.nodes) {
        if (node.op != Op::kCount) continue;
        std::vector<std::uint32_t>& users = users_[node.rule];
        if (users.empty() || users.back() != i) users.push_back(i);
      }
    };
    use(correlations[i].condition);
    std::ranges::for_each(correlations[i].exceptions, use);
  }
}

std::span<const std::uint32_t> CorrelationState::count(std::span<const std::uint32_t> fired) {
  out_.clear();
  if (counts_.empty()) return out_;
  for (const std::uint32_t rule : fired) {
    counts_[rule] = sum(counts_[rule], 1);
    for (const std::uint32_t user : users_[rule]) {
      if (has_fired_[user] || is_waiting_[user]) continue;
      is_waiting_[user] = true;
      waiting_.push_back(user);
    }
  }
  std::ranges::sort(waiting_);
  for (const std::uint32_t index : waiting_) {
    const Correlation& correlation = program_->correlations()[index];
    is_waiting_[index] = false;
    ++evaluations_;
    if (!is_true(correlation)) continue;
    has_fired_[index] = true;
    out_.push_back(correlation.rule);
  }
  waiting_.clear();
  return out_;
}

bool CorrelationState::is_true(const Correlation& correlation) const {
  if (value(correlation.condition, correlation.condition.root) == 0) return false;
  return std::ranges::none_of(correlation.exceptions, [&](const CorrelationCode& exception) {
    return value(exception, exception.root) != 0;
  });
}

std::int64_t CorrelationState::value(const CorrelationCode& code, std::uint32_t index) const {
  const CorrelationNode& node = code.nodes[index];
  const auto child = [&](std::size_t i) { return value(code, node.children[i]); };
  const auto is_true = [&](std::uint32_t of) { return value(code, of) != 0; };
  switch (node.op) {
    case Op::kNumber:
      return node.number;
    case Op::kCount:
      return counts_[node.rule];
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
  }
  return 0;
}

}  // namespace cicd
