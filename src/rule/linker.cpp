// SPDX-License-Identifier: Apache-2.0
// Programs -> Plan. Copies what the rules of each program use into one Code, where CodeBuilder
// shares what is equal; what compiling has left unused stays behind.
#include <algorithm>
#include <map>
#include <utility>

#include "rule/code_builder.h"
#include "rule/plan.h"

namespace cicd {

namespace {

constexpr std::uint32_t kNone = ~0u;
// A smaller set is asked pattern by pattern.
constexpr std::size_t kFewestMatched = 17;

// One program's code on its way into the plan's.
class Linker {
 public:
  Linker(const Code& from, CodeBuilder& to)
      : from_(from),
        to_(to),
        instructions_(from.instructions.size(), kNone),
        literals_(from.literals.size(), kNone),
        lists_(from.lists.size(), kNone),
        sets_(from.sets.size(), kNone),
        prefixes_(from.prefixes.size(), kNone),
        values_(from.values.size(), kNone) {}

  void use(std::uint32_t root) { is_used_[root] = true; }

  // Children come before their parents, so one pass down finds what is used and one up copies it.
  void copy_used() {
    for (std::size_t i = is_used_.size(); i-- > 0;) {
      if (!is_used_[i]) continue;
      for_each_child(i, [this](std::uint32_t child) { is_used_[child] = true; });
    }
    for (std::size_t i = 0; i < is_used_.size(); ++i) {
      if (is_used_[i]) instructions_[i] = copy(i);
    }
  }

  std::uint32_t at(std::uint32_t instruction) const { return instructions_[instruction]; }

 private:
  template <typename Function>
  void for_each_child(std::size_t index, Function function) const {
    const Instruction& in = from_.instructions[index];
    for (std::uint32_t i = 0; i < in.child_count; ++i) {
      function(from_.children[in.first_child + i]);
    }
  }

  std::uint32_t copy(std::size_t index) {
    Instruction in = from_.instructions[index];
    std::vector<std::uint32_t> children;
    for_each_child(index, [&](std::uint32_t child) { children.push_back(at(child)); });
    // Their order depends on numbers, which are others here.
    if (in.op == Op::kAnd || in.op == Op::kOr) return to_.join(in.op, children);
    for (TextSource& text : in.text) copy_text(text);
    if (in.op == Op::kTextIn) in.index = set(in.index);
    if (in.op == Op::kInIpRange) in.index = prefix(in.index);
    if (in.op == Op::kMatches) in.index = to_.pattern(from_.patterns[in.index]);
    if (in.op == Op::kExists || in.op == Op::kExistsOne || in.op == Op::kListCompare) {
      copy_list(in.list);
    }
    if (in.op == Op::kListCompare) copy_list(in.other_list);
    if (in.op == Op::kValueCompare || in.op == Op::kHasValue) in.value[0] = value(in.value[0]);
    if (in.op == Op::kValueCompare) in.value[1] = value(in.value[1]);
    return to_.intern(in, children);
  }

  void copy_text(TextSource& text) {
    if (text.kind == TextSource::Kind::kLiteral) text.literal = literal(text.literal);
    if (text.kind == TextSource::Kind::kValue) text.literal = value(text.literal);
  }

  void copy_list(ListSource& of) {
    if (of.kind == ListSource::Kind::kNamed) of.named = list(of.named);
  }

  // What it asks for is copied: its instructions are children of the instruction it is for.
  std::uint32_t value(std::uint32_t index) {
    if (values_[index] != kNone) return values_[index];
    ValueNode node = from_.values[index];
    using ValueOp = ValueNode::Op;
    switch (node.op) {
      case ValueOp::kText:
        copy_text(node.text);
        break;
      case ValueOp::kListSize:
        copy_list(node.list);
        break;
      case ValueOp::kBool:
        node.first = at(node.first);
        node.second = at(node.second);
        break;
      case ValueOp::kTextSize:
      case ValueOp::kConvert:
      case ValueOp::kNegate:
        node.first = value(node.first);
        break;
      case ValueOp::kChoose:
        node.question = at(node.question);
        node.otherwise = at(node.otherwise);
        node.first = value(node.first);
        node.second = value(node.second);
        break;
      default:
        break;
    }
    return values_[index] = to_.value(node);
  }

  std::uint32_t literal(std::uint32_t index) {
    if (from_.literals.empty()) return 0;  // the text of an instruction that has none
    if (literals_[index] == kNone) literals_[index] = to_.literal(from_.literals[index]);
    return literals_[index];
  }

  std::uint32_t set(std::uint32_t index) {
    if (sets_[index] == kNone) {
      std::vector<TextPattern> patterns = from_.sets[index];
      for (TextPattern& pattern : patterns) pattern.literal = literal(pattern.literal);
      sets_[index] = to_.set(std::move(patterns));
    }
    return sets_[index];
  }

  std::uint32_t prefix(std::uint32_t index) {
    if (prefixes_[index] == kNone) prefixes_[index] = to_.prefix(from_.prefixes[index]);
    return prefixes_[index];
  }

  std::uint32_t list(std::uint32_t index) {
    if (lists_[index] == kNone) lists_[index] = to_.list(from_.lists[index]);
    return lists_[index];
  }

  const Code& from_;
  CodeBuilder& to_;
  std::vector<bool> is_used_ = std::vector<bool>(from_.instructions.size());
  std::vector<std::uint32_t> instructions_, literals_, lists_, sets_, prefixes_, values_;
};

void finish(Plan& plan) {
  std::array<std::vector<std::uint32_t>, kEventTypeCount> roots;
  for (std::size_t type = 0; type < kEventTypeCount; ++type) {
    for (const Plan::Entry& entry : plan.entries[type]) roots[type].push_back(entry.root);
  }
  plan.index = RuleIndex(plan.code, roots);
  plan.matchers.resize(plan.code.sets.size());
  for (const Instruction& in : plan.code.instructions) {
    if (in.op != Op::kTextIn || plan.matchers[in.index] != nullptr) continue;
    const std::vector<TextPattern>& set = plan.code.sets[in.index];
    if (set.size() < kFewestMatched) continue;
    std::vector<TextMatcher::Pattern> patterns;
    for (const TextPattern& pattern : set) {
      patterns.push_back({pattern.kind, plan.code.literals[pattern.literal], 0});
    }
    plan.matchers[in.index] = std::make_unique<const TextMatcher>(std::move(patterns));
  }
}

}  // namespace

std::shared_ptr<const Plan> link(std::vector<std::shared_ptr<const Program>> programs) {
  auto plan = std::make_shared<Plan>();
  CodeBuilder builder(plan->code);
  std::array<std::map<std::uint32_t, std::size_t>, kEventTypeCount> known;  // root -> entry
  for (std::uint32_t scope = 0; scope < programs.size(); ++scope) {
    if (programs[scope] == nullptr) continue;
    // CompiledProgram is the one kind of Program that compile() makes.
    const auto& program = static_cast<const CompiledProgram&>(*programs[scope]);
    Linker linker(program.code, builder);
    for (const auto& entries : program.entries) {
      for (const CompiledProgram::Entry& entry : entries) linker.use(entry.root);
    }
    linker.copy_used();
    for (std::size_t type = 0; type < kEventTypeCount; ++type) {
      std::vector<Plan::Entry>& entries = plan->entries[type];
      for (const CompiledProgram::Entry& entry : program.entries[type]) {
        const std::uint32_t root = linker.at(entry.root);
        const auto [place, is_new] = known[type].try_emplace(root, entries.size());
        if (is_new) entries.push_back({root, {}});
        entries[place->second].owners.push_back({scope, entry.rule});
      }
    }
  }
  builder.assign_memos();
  finish(*plan);
  plan->programs = std::move(programs);
  return plan;
}

}  // namespace cicd
