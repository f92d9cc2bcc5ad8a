// SPDX-License-Identifier: Apache-2.0
#include "rule/code_builder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "rule/answer_table.h"

namespace cicd {

namespace {

// Estimates, in about nanoseconds; they decide on order only.
constexpr std::uint32_t kTextCost = 3;
constexpr std::uint32_t kContainsCost = 12;
constexpr std::uint32_t kSetCost = 30;
constexpr std::uint32_t kRangeCost = 40;
constexpr std::uint32_t kMatchCost = 200;
constexpr std::uint32_t kKeptCost = 3;
constexpr std::uint32_t kTypicalArguments = 8;
constexpr std::uint32_t kTypicalAncestors = 8;
// Cheaper than this is not worth the memory of a kept answer.
constexpr std::uint32_t kKeepFrom = 6;

template <typename T>
void put(std::string& key, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  key.append(bytes, sizeof(T));
}

// Everything that makes two instructions the same.
std::string key_of(const Instruction& in, const std::vector<std::uint32_t>& children) {
  std::string key;
  key.reserve(96);
  put(key, in.op);
  put(key, in.compare);
  put(key, in.field);
  put(key, in.slot);
  put(key, in.index);
  put(key, in.list.kind);
  put(key, in.list.slot);
  put(key, in.list.named);
  put(key, in.other_list.kind);
  put(key, in.other_list.slot);
  put(key, in.other_list.named);
  put(key, in.value[0]);
  put(key, in.value[1]);
  for (const TextSource& text : in.text) {
    put(key, text.kind);
    put(key, text.index);
    put(key, text.literal);
  }
  for (const IntSource& number : in.number) {
    put(key, number.is_field);
    put(key, number.field);
    put(key, number.number);
  }
  for (const std::uint32_t child : children) put(key, child);
  return key;
}

std::uint8_t bit(std::uint8_t slot) { return static_cast<std::uint8_t>(1u << slot); }

std::uint32_t cost_of_set(const std::vector<TextPattern>& set) {
  std::uint64_t cost = 0;
  for (const TextPattern& pattern : set) {
    cost += pattern.kind == TextPattern::Kind::kContains ? kContainsCost : kTextCost;
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(cost, kSetCost));
}

bool is_same(const TextSource& a, const TextSource& b) {
  return a.kind == b.kind && a.index == b.index && a.literal == b.literal;
}

}  // namespace

std::uint32_t CodeBuilder::constant(bool value) {
  Instruction in;
  in.op = Op::kConstant;
  in.number[0].number = value;
  return intern(in, {});
}

std::uint32_t CodeBuilder::negate(std::uint32_t child) {
  if (at(child).op == Op::kNot) return children_of(child)[0];
  if (at(child).op == Op::kConstant) return constant(at(child).number[0].number == 0);
  Instruction in;
  in.op = Op::kNot;
  return intern(in, {child});
}

// Nested && (or ||) become one, repeats and constants go, and the cheap ones come first.
std::uint32_t CodeBuilder::join(Op op, const std::vector<std::uint32_t>& children) {
  std::vector<std::uint32_t> flat;
  for (const std::uint32_t child : children) {
    const Instruction& in = at(child);
    if (in.op == op) {
      const std::vector<std::uint32_t> inner = children_of(child);
      flat.insert(flat.end(), inner.begin(), inner.end());
    } else if (in.op != Op::kConstant) {
      flat.push_back(child);
    } else if ((in.number[0].number != 0) == (op == Op::kOr)) {
      return child;  // decides alone
    }
  }
  if (op == Op::kOr) merge_text_tests(flat);
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  std::stable_sort(flat.begin(), flat.end(), [this](std::uint32_t a, std::uint32_t b) {
    return effective_cost(a) < effective_cost(b);
  });
  if (flat.empty()) return constant(op == Op::kAnd);
  if (flat.size() == 1) return flat[0];
  Instruction in;
  in.op = op;
  return intern(in, flat);
}

void CodeBuilder::merge_text_tests(std::vector<std::uint32_t>& operands) {
  const auto tests_text = [this](std::uint32_t i) { return at(i).op == Op::kTextIn; };
  if (std::ranges::count_if(operands, tests_text) < 2) return;
  std::vector<std::uint32_t> out;
  std::vector<std::pair<TextSource, std::vector<TextPattern>>> tests;
  for (const std::uint32_t operand : operands) {
    const Instruction& in = at(operand);
    if (in.op != Op::kTextIn) {
      out.push_back(operand);
      continue;
    }
    const auto same = std::find_if(tests.begin(), tests.end(), [&](const auto& test) {
      return is_same(test.first, in.text[0]);
    });
    const std::vector<TextPattern>& more = code_.sets[in.index];
    if (same == tests.end()) {
      tests.emplace_back(in.text[0], more);
    } else {
      same->second.insert(same->second.end(), more.begin(), more.end());
    }
  }
  for (auto& [source, patterns] : tests) out.push_back(text_in(source, std::move(patterns)));
  operands = std::move(out);
}

std::uint32_t CodeBuilder::text_in(const TextSource& source, std::vector<TextPattern> patterns) {
  if (patterns.empty()) return constant(false);
  for (const TextPattern& pattern : patterns) {
    const bool fits_all =
        pattern.kind != TextPattern::Kind::kEqual && code_.literals[pattern.literal].empty();
    if (fits_all) return constant(true);
  }
  return text_in(source, set(std::move(patterns)));
}

std::uint32_t CodeBuilder::text_in(const TextSource& source, std::uint32_t set) {
  Instruction in;
  in.op = Op::kTextIn;
  in.text[0] = source;
  in.index = set;
  return intern(in, {});
}

std::uint32_t CodeBuilder::intern(Instruction in, const std::vector<std::uint32_t>& operands) {
  const std::vector<std::uint32_t> of_values = instructions_of_values(in);
  const std::vector<std::uint32_t>& children = of_values.empty() ? operands : of_values;
  const auto index = static_cast<std::uint32_t>(code_.instructions.size());
  const auto [entry, is_new] = interned_.try_emplace(key_of(in, children), index);
  if (!is_new) return entry->second;
  in.first_child = static_cast<std::uint32_t>(code_.children.size());
  in.child_count = static_cast<std::uint32_t>(children.size());
  facts_.push_back(facts_of(in, children));
  for (const std::uint32_t child : children) {
    code_.children.push_back(child);
    ++facts_[child].users;
  }
  code_.instructions.push_back(in);
  return index;
}

Facts CodeBuilder::facts_of(const Instruction& in,
                            const std::vector<std::uint32_t>& children) const {
  Facts facts;
  std::uint64_t cost = 1;
  for (const std::uint32_t child : children) {
    const Facts& inner = facts_[child];
    facts.event |= inner.event;
    facts.process |= inner.process;
    facts.chain |= inner.chain;
    facts.strings |= inner.strings;
    facts.processes |= inner.processes;
    cost += inner.cost;
  }
  facts.cost = static_cast<std::uint32_t>(std::min<std::uint64_t>(cost, kMostCost));
  for (const TextSource& text : in.text) add_text_facts(text, facts);
  const std::uint32_t cost_of_values = facts.cost - 1;
  for (const IntSource& number : in.number) facts.event |= number.is_field;
  switch (in.op) {
    case Op::kBoolField:
      facts.event = true;
      break;
    case Op::kTextIn:
      cost = cost_of_values + cost_of_set(code_.sets[in.index]);
      break;
    case Op::kTextCompare:
    case Op::kStartsWith:
    case Op::kEndsWith:
      cost = cost_of_values + kTextCost;
      break;
    case Op::kContains:
      cost = cost_of_values + kContainsCost;
      break;
    case Op::kMatches:
      cost = cost_of_values + kMatchCost;
      break;
    case Op::kInIpRange:
      cost = cost_of_values + kRangeCost;
      break;
    case Op::kListCompare:
      add_facts_of_list(in.list, facts);
      add_facts_of_list(in.other_list, facts);
      return facts;
    case Op::kValueCompare:
      add_facts(facts, facts_of_value(in.value[1]));
      [[fallthrough]];
    case Op::kHasValue:
      add_facts(facts, facts_of_value(in.value[0]));
      return facts;
    case Op::kExists:
    case Op::kExistsOne:
      bind_element(in, facts);
      return facts;
    default:
      break;
  }
  facts.cost = static_cast<std::uint32_t>(std::min<std::uint64_t>(cost, kMostCost));
  return facts;
}

// `facts` are those of the body. The element is bound here: what the body says of its slot is no
// dependency of the whole.
void CodeBuilder::bind_element(const Instruction& in, Facts& facts) const {
  facts.strings &= static_cast<std::uint8_t>(~bit(in.slot));
  facts.processes &= static_cast<std::uint8_t>(~bit(in.slot));
  const std::uint64_t of_body = facts.cost;
  facts.cost = 0;
  add_facts_of_list(in.list, facts);
  facts.cost =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(kMostCost, of_body * facts.cost + 1));
}

// The cost is that of looking at each element.
void CodeBuilder::add_facts_of_list(const ListSource& list, Facts& facts) const {
  std::uint64_t length = kTypicalArguments;
  switch (list.kind) {
    case ListSource::Kind::kArgv:
      facts.process = true;
      break;
    case ListSource::Kind::kElementArgv:
      facts.processes |= bit(list.slot);
      break;
    case ListSource::Kind::kAncestors:
      facts.chain = true;
      length = kTypicalAncestors;
      break;
    case ListSource::Kind::kDescendants:
      facts.chain = true;
      facts.processes |= bit(list.slot);
      length = kTypicalAncestors;
      break;
    case ListSource::Kind::kNamed:
      length = code_.lists[list.named].size();
      break;
  }
  facts.cost = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMostCost, facts.cost + length));
}

std::uint32_t CodeBuilder::effective_cost(std::uint32_t instruction) const {
  const Facts& facts = facts_[instruction];
  const bool kept = !facts.event && facts.strings == 0 && facts.cost >= kKeepFrom;
  return kept ? kKeptCost : facts.cost;
}

std::uint32_t CodeBuilder::literal(const std::string& text) {
  const auto [entry, is_new] =
      literals_.try_emplace(text, static_cast<std::uint32_t>(code_.literals.size()));
  if (is_new) code_.literals.push_back(text);
  return entry->second;
}

std::uint32_t CodeBuilder::list(std::vector<std::string> values) {
  const auto [entry, is_new] =
      lists_.try_emplace(values, static_cast<std::uint32_t>(code_.lists.size()));
  if (is_new) code_.lists.push_back(std::move(values));
  return entry->second;
}

std::uint32_t CodeBuilder::set(std::vector<TextPattern> patterns) {
  std::sort(patterns.begin(), patterns.end());
  patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());
  std::string key;
  for (const TextPattern& pattern : patterns) {
    put(key, pattern.kind);
    put(key, pattern.literal);
  }
  const auto [entry, is_new] =
      sets_.try_emplace(std::move(key), static_cast<std::uint32_t>(code_.sets.size()));
  if (is_new) code_.sets.push_back(std::move(patterns));
  return entry->second;
}

std::uint32_t CodeBuilder::prefix(const IpPrefix& prefix) {
  const auto [entry, is_new] = prefixes_.try_emplace(
      {prefix.address, prefix.bits}, static_cast<std::uint32_t>(code_.prefixes.size()));
  if (is_new) code_.prefixes.push_back(prefix);
  return entry->second;
}

std::vector<std::uint32_t> CodeBuilder::children_of(std::uint32_t index) const {
  const Instruction& in = at(index);
  const auto first = code_.children.begin() + in.first_child;
  return {first, first + in.child_count};
}

void CodeBuilder::assign_memos() {
  for (std::uint32_t i = 0; i < code_.instructions.size(); ++i) {
    Instruction& in = code_.instructions[i];
    in.memo = memo_of(i);
    if (in.memo == Memo::kImage) {
      in.memo_slot = static_cast<std::uint8_t>(std::countr_zero(facts_[i].processes));
    }
  }
}

Memo CodeBuilder::memo_of(std::uint32_t index) const {
  const Facts& facts = facts_[index];
  const Instruction& in = at(index);
  if (facts.cost < kKeepFrom || facts.strings != 0 || index > AnswerTable::kMaxInstruction) {
    return Memo::kNone;
  }
  if (in.op == Op::kExists && in.list.kind == ListSource::Kind::kAncestors) {
    const Facts& body = facts_[code_.children[in.first_child]];
    const bool asks_only_image = !body.event && !body.process && !body.chain && body.strings == 0 &&
                                 body.processes == bit(in.slot);
    if (asks_only_image) return Memo::kAbove;
  }
  if (facts.processes == 0) {
    if (facts.event) return facts.users > 1 ? Memo::kEvent : Memo::kNone;
    return facts.chain ? Memo::kProcess : Memo::kOwnImage;
  }
  const bool asks_one_image =
      !facts.event && !facts.process && !facts.chain && std::has_single_bit(facts.processes);
  return asks_one_image ? Memo::kImage : Memo::kNone;
}

}  // namespace cicd
