// SPDX-License-Identifier: Apache-2.0
#include "rule/lowering.h"

#include <algorithm>
#include <set>
#include <utility>

#include "rule/normalize.h"

namespace cicd {

namespace {

// Estimates, in about nanoseconds; they decide on order only.
constexpr std::uint32_t kTextCost = 3;
constexpr std::uint32_t kContainsCost = 12;
constexpr std::uint32_t kRangeCost = 40;
constexpr std::uint32_t kKeptCost = 3;
constexpr std::uint32_t kTypicalArguments = 8;
constexpr std::uint32_t kTypicalAncestors = 8;
constexpr std::uint32_t kMaxCost = 1'000'000;
// Cheaper than this is not worth the memory of a kept answer.
constexpr std::uint32_t kKeepFrom = 6;

void put(std::string& key, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) key += static_cast<char>(value >> (8 * i));
}

// Everything that makes two instructions the same.
std::string key_of(const Instruction& in, const std::vector<std::uint32_t>& children) {
  std::string key;
  for (const std::uint64_t part :
       {static_cast<std::uint64_t>(in.op), static_cast<std::uint64_t>(in.compare),
        static_cast<std::uint64_t>(in.field), static_cast<std::uint64_t>(in.slot),
        static_cast<std::uint64_t>(in.index), static_cast<std::uint64_t>(in.list.kind),
        static_cast<std::uint64_t>(in.list.slot), static_cast<std::uint64_t>(in.list.named)}) {
    put(key, part);
  }
  for (const TextSource& text : in.text) {
    put(key, static_cast<std::uint64_t>(text.kind));
    put(key, text.index);
    put(key, text.literal);
  }
  for (const IntSource& number : in.number) {
    put(key, number.is_field);
    put(key, number.field);
    put(key, static_cast<std::uint64_t>(number.number));
  }
  for (const std::uint32_t child : children) put(key, child);
  return key;
}

std::uint8_t bit(std::uint8_t slot) { return static_cast<std::uint8_t>(1u << slot); }

}  // namespace

std::uint32_t Lowering::rule(const Checked& condition, std::span<const Checked> exceptions,
                             const NamedLists& lists) {
  std::uint32_t root = lower(condition, condition.root, lists);
  if (!exceptions.empty()) {
    std::vector<std::uint32_t> parts{root};
    for (const Checked& exception : exceptions) {
      parts.push_back(negate(lower(exception, exception.root, lists)));
    }
    root = join(Op::kAnd, parts);
  }
  ++facts_[root].users;
  return root;
}

std::uint32_t Lowering::lower(const Checked& checked, std::uint32_t index,
                              const NamedLists& lists) {
  const CheckedNode& node = checked[index];
  switch (node.kind) {
    case CheckedKind::kLiteral:
      return constant(node.number != 0);
    case CheckedKind::kField: {
      Instruction in;
      in.op = Op::kBoolField;
      in.field = node.index;
      Facts facts;
      facts.event = true;
      return intern(in, {}, facts);
    }
    case CheckedKind::kNot:
      return negate(lower(checked, node.children[0], lists));
    case CheckedKind::kAnd:
    case CheckedKind::kOr:
      return lower_logic(checked, node, lists);
    case CheckedKind::kCompare:
      return lower_compare(checked, node, lists);
    case CheckedKind::kStartsWith:
    case CheckedKind::kEndsWith:
    case CheckedKind::kContains:
    case CheckedKind::kInIpRange:
      return lower_text_test(checked, node);
    case CheckedKind::kExists:
      return lower_exists(checked, node, lists);
    default:
      return constant(false);  // not of type bool: the checker lets none through
  }
}

std::uint32_t Lowering::lower_logic(const Checked& checked, const CheckedNode& node,
                                    const NamedLists& lists) {
  std::vector<std::uint32_t> children;
  for (const std::uint32_t child : node.children) children.push_back(lower(checked, child, lists));
  return join(node.kind == CheckedKind::kAnd ? Op::kAnd : Op::kOr, children);
}

std::uint32_t Lowering::lower_compare(const Checked& checked, const CheckedNode& node,
                                      const NamedLists& lists) {
  const CheckedNode& left = checked[node.children[0]];
  const CheckedNode& right = checked[node.children[1]];
  Instruction in;
  in.compare = node.compare;
  Facts facts;
  if (left.type == ValueType::kBool) {
    in.op = Op::kBoolCompare;
    return intern(
        in, {lower(checked, node.children[0], lists), lower(checked, node.children[1], lists)},
        facts);
  }
  if (left.type == ValueType::kInt) {
    in.op = Op::kIntCompare;
    in.number = {int_source(left, facts), int_source(right, facts)};
  } else {
    in.op = Op::kTextCompare;
    in.text = {text_source(left, facts), text_source(right, facts)};
    facts.cost = kTextCost;
  }
  return intern(in, {}, facts);
}

std::uint32_t Lowering::lower_text_test(const Checked& checked, const CheckedNode& node) {
  Instruction in;
  Facts facts;
  facts.cost = kTextCost;
  in.text[0] = text_source(checked[node.children[0]], facts);
  if (node.kind == CheckedKind::kInIpRange) {
    in.op = Op::kInIpRange;
    const auto [known, is_new] = prefixes_.try_emplace(
        {node.prefix.address, node.prefix.bits}, static_cast<std::uint32_t>(code_.prefixes.size()));
    if (is_new) code_.prefixes.push_back(node.prefix);
    in.index = known->second;
    facts.cost = kRangeCost;
    return intern(in, {}, facts);
  }
  in.text[1] = text_source(checked[node.children[1]], facts);
  in.op = node.kind == CheckedKind::kStartsWith ? Op::kStartsWith
          : node.kind == CheckedKind::kEndsWith ? Op::kEndsWith
                                                : Op::kContains;
  if (in.op == Op::kContains) facts.cost = kContainsCost;
  return intern(in, {}, facts);
}

std::uint32_t Lowering::lower_exists(const Checked& checked, const CheckedNode& node,
                                     const NamedLists& lists) {
  Instruction in;
  in.op = Op::kExists;
  in.slot = node.variable;
  Facts facts;
  std::uint32_t length = 0;
  in.list = list_source(checked[node.children[0]], lists, facts, length);
  const std::uint32_t body = lower(checked, node.children[1], lists);
  const Facts& inner = facts_[body];
  // The element is bound here: what the body says of its slot is no dependency of the whole.
  facts.event |= inner.event;
  facts.process |= inner.process;
  facts.chain |= inner.chain;
  facts.strings |= static_cast<std::uint8_t>(inner.strings & ~bit(in.slot));
  facts.processes |= static_cast<std::uint8_t>(inner.processes & ~bit(in.slot));
  const std::uint64_t cost = std::uint64_t{inner.cost + 1} * length + 1;
  facts.cost = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMaxCost, cost));
  ++facts_[body].users;
  const std::vector<std::uint32_t> children = {body};
  in.child_count = 1;
  return intern(in, children, facts);
}

std::uint32_t Lowering::constant(bool value) {
  Instruction in;
  in.op = Op::kConstant;
  in.number[0].number = value;
  return intern(in, {}, {});
}

std::uint32_t Lowering::negate(std::uint32_t child) {
  Instruction in;
  in.op = Op::kNot;
  return intern(in, {child}, {});
}

// Nested && (or ||) become one, repeats go, and the cheap ones come first.
std::uint32_t Lowering::join(Op op, const std::vector<std::uint32_t>& children) {
  std::vector<std::uint32_t> flat;
  for (const std::uint32_t child : children) {
    const Instruction& in = code_.instructions[child];
    if (in.op == op) {
      flat.insert(flat.end(), code_.children.begin() + in.first_child,
                  code_.children.begin() + in.first_child + in.child_count);
    } else {
      flat.push_back(child);
    }
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  std::stable_sort(flat.begin(), flat.end(), [this](std::uint32_t a, std::uint32_t b) {
    return effective_cost(a) < effective_cost(b);
  });
  if (flat.size() == 1) return flat[0];
  Instruction in;
  in.op = op;
  return intern(in, flat, {});
}

std::uint32_t Lowering::effective_cost(std::uint32_t instruction) const {
  const Facts& facts = facts_[instruction];
  const bool kept = !facts.event && facts.strings == 0 && facts.cost >= kKeepFrom;
  return kept ? kKeptCost : facts.cost;
}

TextSource Lowering::text_source(const CheckedNode& node, Facts& facts) {
  using Kind = TextSource::Kind;
  switch (node.kind) {
    case CheckedKind::kField:
      facts.event = true;
      return {Kind::kField, node.index, 0};
    case CheckedKind::kExecPath:
      if (node.variable == kNoVariable) {
        facts.process = true;
        return {Kind::kExecPath, 0, 0};
      }
      facts.processes |= bit(node.variable);
      return {Kind::kElementExecPath, node.variable, 0};
    case CheckedKind::kVariable:
      facts.strings |= bit(node.variable);
      return {Kind::kElement, node.variable, 0};
    default:
      return {Kind::kLiteral, 0, literal(node.text)};
  }
}

IntSource Lowering::int_source(const CheckedNode& node, Facts& facts) {
  if (node.kind != CheckedKind::kField) return {false, 0, node.number};
  facts.event = true;
  return {true, node.index, 0};
}

ListSource Lowering::list_source(const CheckedNode& node, const NamedLists& lists, Facts& facts,
                                 std::uint32_t& length) {
  using Kind = ListSource::Kind;
  length = kTypicalAncestors;
  switch (node.kind) {
    case CheckedKind::kNamedList: {
      const std::uint32_t named = named_list(lists.at(node.text));
      length = static_cast<std::uint32_t>(code_.lists[named].size());
      return {Kind::kNamed, 0, named};
    }
    case CheckedKind::kAncestors:
      facts.chain = true;
      return {Kind::kAncestors, 0, 0};
    case CheckedKind::kDescendants:
      facts.chain = true;
      facts.processes |= bit(node.variable);
      return {Kind::kDescendants, node.variable, 0};
    default:
      break;
  }
  length = kTypicalArguments;
  if (node.variable == kNoVariable) {
    facts.process = true;
    return {Kind::kArgv, 0, 0};
  }
  facts.processes |= bit(node.variable);
  return {Kind::kElementArgv, node.variable, 0};
}

std::uint32_t Lowering::literal(const std::string& text) {
  const auto [entry, is_new] =
      literals_.try_emplace(text, static_cast<std::uint32_t>(code_.literals.size()));
  if (is_new) code_.literals.push_back(text);
  return entry->second;
}

std::uint32_t Lowering::named_list(const std::vector<std::string>& values) {
  const auto known = lists_.find(values);
  if (known != lists_.end()) return known->second;
  std::set<std::string> distinct;
  for (const std::string& value : values) distinct.insert(normalized(value));
  const auto index = static_cast<std::uint32_t>(code_.lists.size());
  code_.lists.emplace_back(distinct.begin(), distinct.end());
  lists_.emplace(values, index);
  return index;
}

std::uint32_t Lowering::intern(Instruction in, const std::vector<std::uint32_t>& children,
                               Facts facts) {
  const auto index = static_cast<std::uint32_t>(code_.instructions.size());
  const auto [entry, is_new] = interned_.try_emplace(key_of(in, children), index);
  if (!is_new) return entry->second;
  in.first_child = static_cast<std::uint32_t>(code_.children.size());
  in.child_count = static_cast<std::uint32_t>(children.size());
  std::uint64_t cost = facts.cost;
  for (const std::uint32_t child : children) {
    code_.children.push_back(child);
    if (in.op == Op::kExists) continue;  // lower_exists has taken the body into account
    Facts& inner = facts_[child];
    facts.event |= inner.event;
    facts.process |= inner.process;
    facts.chain |= inner.chain;
    facts.strings |= inner.strings;
    facts.processes |= inner.processes;
    cost += inner.cost;
    ++inner.users;
  }
  facts.cost = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMaxCost, cost));
  code_.instructions.push_back(in);
  facts_.push_back(facts);
  return index;
}

void Lowering::finish() {
  for (std::size_t i = 0; i < code_.instructions.size(); ++i) {
    Instruction& in = code_.instructions[i];
    const Facts& facts = facts_[i];
    if (facts.cost < kKeepFrom || facts.strings != 0) continue;
    if (facts.processes == 0) {
      if (!facts.event) {
        in.memo = Memo::kProcess;
        in.memo_index = code_.process_memos++;
      } else if (facts.users > 1) {
        in.memo = Memo::kEvent;
        in.memo_index = code_.event_memos++;
      }
    } else if (!facts.event && !facts.process && !facts.chain &&
               (facts.processes & (facts.processes - 1)) == 0) {
      in.memo = Memo::kImage;
      in.memo_slot = static_cast<std::uint8_t>(__builtin_ctz(facts.processes));
      in.memo_index = code_.image_memos++;
    }
  }
}

}  // namespace cicd
