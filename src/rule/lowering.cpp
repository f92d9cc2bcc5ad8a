// SPDX-License-Identifier: Apache-2.0
#include "rule/lowering.h"

#include <algorithm>
#include <utility>

#include "rule/normalize.h"
#include "rule/text_pattern.h"

namespace cicd {

namespace {

using Kind = TextPattern::Kind;

IntSource int_source(const CheckedNode& node) {
  if (node.kind == CheckedKind::kField) return {true, node.index, 0};
  return {false, 0, node.number};
}

bool is_element(const TextSource& source, std::uint8_t slot) {
  return source.kind == TextSource::Kind::kElement && source.index == slot;
}

std::uint8_t bit(std::uint8_t slot) { return static_cast<std::uint8_t>(1u << slot); }

// In normal form, sorted, without repeats.
std::vector<std::string> distinct(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& value : given) out.push_back(normalized(value));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

std::uint32_t Lowering::rule(const Checked& condition, std::span<const Checked> exceptions,
                             const NamedLists& lists) {
  std::vector<std::uint32_t> parts{lower({condition, lists}, condition.root)};
  for (const Checked& exception : exceptions) {
    parts.push_back(lower({exception, lists}, exception.root, false));
  }
  return builder_.join(Op::kAnd, parts);
}

std::uint32_t Lowering::lower(const Source& source, std::uint32_t index, bool wanted) {
  // Nodes are shared, and asked for both answers: each is lowered once.
  const std::uint64_t key = 2 * std::uint64_t{index} + (wanted ? 1 : 0);
  if (const auto known = source.lowered.find(key); known != source.lowered.end()) {
    return known->second;
  }
  const std::uint32_t out = lower_node(source, index, wanted);
  source.lowered.emplace(key, out);
  return out;
}

std::uint32_t Lowering::lower_node(const Source& source, std::uint32_t index, bool wanted) {
  const CheckedNode& node = source[index];
  if (!wanted && !node.can_fail) return builder_.negate(lower(source, index));
  switch (node.kind) {
    case CheckedKind::kLiteral:
      return builder_.constant(node.number != 0);
    case CheckedKind::kField: {
      Instruction in;
      in.op = Op::kBoolField;
      in.field = node.index;
      return builder_.intern(in, {});
    }
    case CheckedKind::kNot:
      return lower(source, node.children[0], !wanted);
    case CheckedKind::kAnd:
    case CheckedKind::kOr:
      return lower_logic(source, node, wanted);
    case CheckedKind::kChoose:
      return lower_choose(source, node, wanted);
    case CheckedKind::kRequire:
      return lower_require(source, node, wanted);
    case CheckedKind::kCompare:
      return lower_compare(source, node, wanted);
    case CheckedKind::kStartsWith:
    case CheckedKind::kEndsWith:
    case CheckedKind::kContains:
    case CheckedKind::kMatches:
    case CheckedKind::kInIpRange:
      return guard(source, node, lower_text_test(source, node), wanted);
    case CheckedKind::kExists:
    case CheckedKind::kAll:
    case CheckedKind::kExistsOne:
      return lower_macro(source, node, wanted);
    case CheckedKind::kExactlyOne:
      return lower_exactly_one(source, node, wanted);
    case CheckedKind::kConvert:
      return truth_of_value(source, index, wanted);
    default:
      return builder_.constant(false);  // an error, or no bool: the checker lets none through
  }
}

std::uint32_t Lowering::lower_logic(const Source& source, const CheckedNode& node, bool wanted) {
  std::vector<std::uint32_t> children;
  for (const std::uint32_t child : node.children) children.push_back(lower(source, child, wanted));
  return builder_.join((node.kind == CheckedKind::kAnd) == wanted ? Op::kAnd : Op::kOr, children);
}

std::uint32_t Lowering::lower_choose(const Source& source, const CheckedNode& node, bool wanted) {
  const auto both = [&](bool answer, std::uint32_t then) {
    return builder_.join(Op::kAnd,
                         {lower(source, node.children[0], answer), lower(source, then, wanted)});
  };
  const std::uint32_t yes = both(true, node.children[1]);
  const std::uint32_t no = both(false, node.children[2]);
  return builder_.join(Op::kOr, {yes, no});
}

std::uint32_t Lowering::lower_require(const Source& source, const CheckedNode& node, bool wanted) {
  std::vector<std::uint32_t> parts{lower(source, node.children[0], wanted)};
  for (std::size_t i = 1; i < node.children.size(); ++i) {
    parts.push_back(has_value(source, node.children[i]));
  }
  return builder_.join(Op::kAnd, parts);
}

std::uint32_t Lowering::lower_compare(const Source& source, const CheckedNode& node, bool wanted) {
  const CheckedNode& left = source[node.children[0]];
  const CheckedNode& right = source[node.children[1]];
  const auto is_simple = [](const CheckedNode& side) {
    return side.type == ValueType::kInt &&
           (side.kind == CheckedKind::kLiteral || side.kind == CheckedKind::kField);
  };
  Instruction in;
  in.compare = node.compare;
  if (left.type == ValueType::kBool && !node.can_fail) {
    in.op = Op::kBoolCompare;
    return builder_.intern(in, {lower(source, node.children[0]), lower(source, node.children[1])});
  }
  if (is_simple(left) && is_simple(right)) {
    in.op = Op::kIntCompare;
    in.number = {int_source(left), int_source(right)};
    return builder_.intern(in, {});
  }
  if (left.type == ValueType::kStringList) return compare_lists(source, node);
  if (left.type != ValueType::kString) return compare_values(source, node, wanted);
  const TextSource a = text_source(source, node.children[0]);
  const TextSource b = text_source(source, node.children[1]);
  return guard(source, node, lower_text_compare(a, b, node.compare), wanted);
}

std::uint32_t Lowering::lower_text_compare(TextSource a, TextSource b, CompareOp compare) {
  if (compare == CompareOp::kEqual || compare == CompareOp::kNotEqual) {
    if (a.kind == TextSource::Kind::kLiteral) std::swap(a, b);
    if (b.kind == TextSource::Kind::kLiteral) {
      const std::uint32_t equal = builder_.text_in(a, {{Kind::kEqual, b.literal}});
      return compare == CompareOp::kEqual ? equal : builder_.negate(equal);
    }
  }
  Instruction in;
  in.op = Op::kTextCompare;
  in.compare = compare;
  in.text = {a, b};
  return builder_.intern(in, {});
}

std::uint32_t Lowering::lower_text_test(const Source& source, const CheckedNode& node) {
  Instruction in;
  in.text[0] = text_source(source, node.children[0]);
  if (node.kind == CheckedKind::kInIpRange || node.kind == CheckedKind::kMatches) {
    const bool is_range = node.kind == CheckedKind::kInIpRange;
    in.op = is_range ? Op::kInIpRange : Op::kMatches;
    in.index = is_range ? builder_.prefix(node.prefix) : builder_.pattern(node.text);
    return builder_.intern(in, {});
  }
  in.text[1] = text_source(source, node.children[1]);
  in.op = node.kind == CheckedKind::kStartsWith ? Op::kStartsWith
          : node.kind == CheckedKind::kEndsWith ? Op::kEndsWith
                                                : Op::kContains;
  if (in.text[1].kind != TextSource::Kind::kLiteral) return builder_.intern(in, {});
  return builder_.text_in(in.text[0], {{*pattern_kind(in), in.text[1].literal}});
}

// Of the three only "some element" and "exactly one" are instructions.
std::uint32_t Lowering::lower_macro(const Source& source, const CheckedNode& node, bool wanted) {
  const std::uint32_t body = node.children[1];
  if (node.kind != CheckedKind::kExistsOne) {
    const std::uint32_t answer = lower(source, body, wanted);
    if ((node.kind == CheckedKind::kExists) == wanted) return exists(source, node, answer);
    // "All are" is "there is none that is not".
    return builder_.negate(exists(source, node, builder_.negate(answer)));
  }
  const std::uint32_t one = exists_one(source, node, lower(source, body));
  const std::uint32_t answer = wanted ? one : builder_.negate(one);
  if (!node.can_fail) return answer;
  const std::uint32_t known =
      builder_.join(Op::kOr, {lower(source, body), lower(source, body, false)});
  const std::uint32_t some_error = exists(source, node, builder_.negate(known));
  return builder_.join(Op::kAnd, {answer, builder_.negate(some_error)});
}

std::uint32_t Lowering::lower_exactly_one(const Source& source, const CheckedNode& node,
                                          bool wanted) {
  std::vector<std::uint32_t> children;
  for (const std::uint32_t child : node.children) children.push_back(lower(source, child));
  Instruction in;
  in.op = Op::kExactlyOne;
  const std::uint32_t one = builder_.intern(in, children);
  std::vector<std::uint32_t> parts{wanted ? one : builder_.negate(one)};
  for (const std::uint32_t child : node.children) {
    if (!source[child].can_fail) continue;
    parts.push_back(builder_.join(Op::kOr, {lower(source, child), lower(source, child, false)}));
  }
  return builder_.join(Op::kAnd, parts);
}

std::uint32_t Lowering::exists(const Source& source, const CheckedNode& node, std::uint32_t body) {
  const CheckedNode& list = source[node.children[0]];
  if (list.kind == CheckedKind::kNamedList) {
    return exists_in(values_of(source.lists.at(list.text)), node.variable, body);
  }
  if (const auto written = written_values(source, list)) {
    ValueList values{distinct(*written), {}};
    return exists_in(values, node.variable, body);
  }
  Instruction in;
  in.op = Op::kExists;
  in.slot = node.variable;
  in.list = list_source(source, node.children[0]);
  return builder_.intern(in, {body});
}

std::uint32_t Lowering::exists_one(const Source& source, const CheckedNode& node,
                                   std::uint32_t body) {
  Instruction in;
  in.op = Op::kExistsOne;
  in.slot = node.variable;
  in.list = list_source(source, node.children[0]);
  return builder_.intern(in, {body});
}

std::uint32_t Lowering::exists_in(ValueList& list, std::uint8_t slot, std::uint32_t body) {
  const std::vector<std::string>& values = list.values;
  if (values.empty()) return builder_.constant(false);
  const Instruction in = builder_.at(body);
  if ((builder_.facts(body).strings & bit(slot)) == 0) return body;
  if (in.op == Op::kOr) {
    std::vector<std::uint32_t> parts;
    for (const std::uint32_t child : builder_.children_of(body)) {
      parts.push_back(exists_in(list, slot, child));
    }
    return builder_.join(Op::kOr, parts);
  }
  if (in.op == Op::kAnd) return exists_all_of(list, slot, body);
  if (known_answer(body, slot, values.front())) {
    return builder_.constant(
        std::any_of(values.begin(), values.end(),
                    [&](const std::string& value) { return *known_answer(body, slot, value); }));
  }
  if (const auto test = exists_test(list, slot, in)) return *test;
  Instruction scan;
  scan.op = Op::kExists;
  scan.slot = slot;
  scan.list = {ListSource::Kind::kNamed, 0, builder_.list(values)};
  return builder_.intern(scan, {body});
}

// What does not ask of the element is asked once, and what asks of nothing else is answered here:
// `d.startsWith(".") && domain.endsWith(d)` is about the part of the list that begins with a dot.
std::uint32_t Lowering::exists_all_of(ValueList& list, std::uint8_t slot, std::uint32_t body) {
  const std::vector<std::string>& values = list.values;
  std::vector<std::uint32_t> outside;
  std::vector<std::uint32_t> rest;
  ValueList left{values, {}};
  for (const std::uint32_t child : builder_.children_of(body)) {
    if ((builder_.facts(child).strings & bit(slot)) == 0) {
      outside.push_back(child);
    } else if (known_answer(child, slot, values.front())) {
      std::erase_if(left.values,
                    [&](const std::string& value) { return !*known_answer(child, slot, value); });
    } else {
      rest.push_back(child);
    }
  }
  if (left.values.empty()) return builder_.constant(false);
  const std::uint32_t inner = builder_.join(Op::kAnd, rest);
  if (builder_.at(inner).op != Op::kAnd) {
    outside.push_back(exists_in(left.values.size() == values.size() ? list : left, slot, inner));
  } else {
    Instruction scan;
    scan.op = Op::kExists;
    scan.slot = slot;
    scan.list = {ListSource::Kind::kNamed, 0, builder_.list(left.values)};
    outside.push_back(builder_.intern(scan, {inner}));
  }
  return builder_.join(Op::kAnd, outside);
}

// `text == e`, `text.startsWith(e)` and so on, for all values of e at once.
std::optional<std::uint32_t> Lowering::exists_test(ValueList& list, std::uint8_t slot,
                                                   const Instruction& test) {
  const auto kind = pattern_kind(test);
  if (!kind) return std::nullopt;
  TextSource text = test.text[0];
  TextSource element = test.text[1];
  if (*kind == Kind::kEqual && is_element(text, slot)) std::swap(text, element);
  if (!is_element(element, slot) || is_element(text, slot)) return std::nullopt;
  // A value can ask for the element too.
  const bool is_value = text.kind == TextSource::Kind::kValue;
  if (is_value && (builder_.facts_of_value(text.literal).strings & bit(slot)) != 0) {
    return std::nullopt;
  }
  if (*kind != Kind::kEqual && list.values.front().empty()) return builder_.constant(true);
  return builder_.text_in(text, set_of(list, *kind));
}

std::uint32_t Lowering::set_of(ValueList& list, Kind kind) {
  std::optional<std::uint32_t>& set = list.sets[static_cast<std::size_t>(kind)];
  if (!set) {
    std::vector<TextPattern> patterns;
    for (const std::string& value : list.values) {
      patterns.push_back({kind, builder_.literal(value)});
    }
    set = builder_.set(std::move(patterns));
  }
  return *set;
}

std::optional<bool> Lowering::known_answer(std::uint32_t instruction, std::uint8_t slot,
                                           const std::string& value) const {
  const Instruction& in = builder_.at(instruction);
  switch (in.op) {
    case Op::kConstant:
      return in.number[0].number != 0;
    case Op::kTextIn:
      if (!is_element(in.text[0], slot)) return std::nullopt;
      return fits_any(builder_.code(), builder_.code().sets[in.index], value);
    case Op::kNot:
    case Op::kAnd:
    case Op::kOr:
      break;
    default:
      return std::nullopt;
  }
  bool all = true;
  bool some = false;
  for (const std::uint32_t child : builder_.children_of(instruction)) {
    const auto answer = known_answer(child, slot, value);
    if (!answer) return std::nullopt;
    all &= *answer;
    some |= *answer;
  }
  return in.op == Op::kNot ? !all : in.op == Op::kAnd ? all : some;
}

Lowering::ValueList& Lowering::values_of(const std::vector<std::string>& given) {
  const auto [entry, is_new] = lists_.try_emplace(&given);
  if (is_new) entry->second.values = distinct(given);
  return entry->second;
}

}  // namespace cicd
