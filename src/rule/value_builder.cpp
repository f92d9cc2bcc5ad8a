// SPDX-License-Identifier: Apache-2.0
// The part of CodeBuilder that is about values and regular expressions.
#include <algorithm>
#include <cstring>

#include "rule/code_builder.h"

namespace cicd {

namespace {

// Finding the value of a node, in about nanoseconds.
constexpr std::uint32_t kValueCost = 10;

template <typename T>
void put(std::string& key, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  key.append(bytes, sizeof(T));
}

// Everything that makes two values the same.
std::string key_of(const ValueNode& node) {
  std::string key;
  put(key, node.op);
  put(key, node.type);
  put(key, node.index);
  put(key, node.number);
  put(key, node.text.kind);
  put(key, node.text.index);
  put(key, node.text.literal);
  put(key, node.list.kind);
  put(key, node.list.slot);
  put(key, node.list.named);
  put(key, node.first);
  put(key, node.second);
  put(key, node.question);
  put(key, node.otherwise);
  return key;
}

std::uint8_t bit(std::uint8_t slot) { return static_cast<std::uint8_t>(1u << slot); }

}  // namespace

void add_facts(Facts& facts, const Facts& more) {
  facts.event |= more.event;
  facts.process |= more.process;
  facts.chain |= more.chain;
  facts.strings |= more.strings;
  facts.processes |= more.processes;
  facts.cost = std::min(facts.cost + more.cost, kMostCost);
}

void CodeBuilder::add_text_facts(const TextSource& text, Facts& facts) const {
  using Kind = TextSource::Kind;
  switch (text.kind) {
    case Kind::kLiteral:
      return;
    case Kind::kField:
    case Kind::kStepId:
    case Kind::kStepName:  // one process can act in several steps
      facts.event = true;
      return;
    case Kind::kExecPath:
    case Kind::kCwd:
      facts.process = true;
      return;
    case Kind::kElement:
      facts.strings |= bit(text.index);
      return;
    case Kind::kElementExecPath:
    case Kind::kElementCwd:
      facts.processes |= bit(text.index);
      return;
    case Kind::kValue:
      add_facts(facts, facts_of_value(text.literal));
      return;
  }
}

std::uint32_t CodeBuilder::value(ValueNode node) {
  const bool needs_buffer = node.op == ValueNode::Op::kConvert && node.type == ValueType::kString;
  if (needs_buffer) node.second = 0;
  const auto [known, is_new] =
      known_values_.try_emplace(key_of(node), static_cast<std::uint32_t>(code_.values.size()));
  if (!is_new) return known->second;
  ValueInfo info;
  info.facts.cost = kValueCost;
  add_value_parts(node, info);
  std::ranges::sort(info.instructions);
  info.instructions.erase(std::ranges::unique(info.instructions).begin(), info.instructions.end());
  if (needs_buffer) node.second = code_.number_texts++;
  code_.values.push_back(node);
  values_.push_back(std::move(info));
  return known->second;
}

void CodeBuilder::add_value_parts(const ValueNode& node, ValueInfo& info) const {
  const auto use_value = [&](std::uint32_t value) {
    const ValueInfo& more = values_[value];
    add_facts(info.facts, more.facts);
    info.instructions.insert(info.instructions.end(), more.instructions.begin(),
                             more.instructions.end());
  };
  const auto use_instruction = [&](std::uint32_t instruction) {
    add_facts(info.facts, facts_[instruction]);
    info.instructions.push_back(instruction);
  };
  using ValueOp = ValueNode::Op;
  switch (node.op) {
    case ValueOp::kNumber:
      return;
    case ValueOp::kField:
      info.facts.event = true;
      return;
    case ValueOp::kUid:
      // Not of an image: programs that are the same run for several users.
      info.facts.chain = true;
      if (node.index != kNoVariable) info.facts.processes |= bit(node.index);
      return;
    case ValueOp::kText:
      add_text_facts(node.text, info.facts);
      return;
    case ValueOp::kBool:
      use_instruction(node.first);
      use_instruction(node.second);
      return;
    case ValueOp::kListSize:
      add_facts_of_list(node.list, info.facts);
      return;
    case ValueOp::kTextSize:
    case ValueOp::kConvert:
    case ValueOp::kNegate:
      use_value(node.first);
      return;
    case ValueOp::kChoose:
      use_instruction(node.question);
      use_instruction(node.otherwise);
      use_value(node.first);
      use_value(node.second);
      return;
  }
}

std::vector<std::uint32_t> CodeBuilder::instructions_of_values(const Instruction& in) const {
  std::vector<std::uint32_t> out;
  const auto use = [&](std::uint32_t value) {
    const std::vector<std::uint32_t>& more = values_[value].instructions;
    out.insert(out.end(), more.begin(), more.end());
  };
  for (const TextSource& text : in.text) {
    if (text.kind == TextSource::Kind::kValue) use(text.literal);
  }
  if (in.op == Op::kValueCompare || in.op == Op::kHasValue) use(in.value[0]);
  if (in.op == Op::kValueCompare) use(in.value[1]);
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

std::uint32_t CodeBuilder::pattern(const std::string& text) {
  const auto known = patterns_.find(text);
  if (known != patterns_.end()) return known->second;
  return pattern(std::make_shared<const Pattern>(text));
}

std::uint32_t CodeBuilder::pattern(std::shared_ptr<const Pattern> pattern) {
  const auto [known, is_new] =
      patterns_.try_emplace(pattern->text(), static_cast<std::uint32_t>(code_.patterns.size()));
  if (is_new) code_.patterns.push_back(std::move(pattern));
  return known->second;
}

}  // namespace cicd
