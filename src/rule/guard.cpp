// SPDX-License-Identifier: Apache-2.0
#include "rule/guard.h"

#include <algorithm>
#include <array>
#include <bit>

namespace cicd {

namespace {

using Kind = GuardAtom::Kind;

// A set of texts: how long its literals are tells how seldom it fits.
std::uint64_t weight_of_set(const Code& code, std::uint32_t index) {
  const std::vector<TextPattern>& set = code.sets[index];
  std::uint64_t weight = static_cast<std::uint64_t>(std::bit_width(set.size()));
  for (const TextPattern& pattern : set) {
    if (pattern.kind == TextPattern::Kind::kEqual) continue;
    const std::size_t size = code.literals[pattern.literal].size();
    if (size < 6) weight += 2'000u >> (2 * size);
    // Most paths begin alike, few end alike.
    if (pattern.kind == TextPattern::Kind::kPrefix && size < 12) weight += 20;
  }
  return weight;
}

std::uint64_t weight_of(const Code& code, const GuardAtom& atom) {
  switch (atom.kind) {
    case Kind::kFieldText:
      return weight_of_set(code, atom.index);
    case Kind::kFieldNumber:
      return 60;
    case Kind::kFieldRange:
      return code.prefixes[atom.index].bits >= 96 + 8 ? 20 : 500;
    case Kind::kExecPath:
      return 20 + weight_of_set(code, atom.index);
    case Kind::kArgument:
      return 30 + weight_of_set(code, atom.index);
    case Kind::kExecPathAbove:
      return 200 + weight_of_set(code, atom.index);
    case Kind::kArgumentAbove:
      return 250 + weight_of_set(code, atom.index);
  }
  return 0;
}

class GuardFinder {
 public:
  explicit GuardFinder(const Code& code) : code_(code) {}

  // What must hold where `index` is `wanted`.
  std::optional<Guard> find(std::uint32_t index, bool wanted) {
    const Instruction& in = code_.instructions[index];
    switch (in.op) {
      case Op::kConstant:
        if ((in.number[0].number != 0) == wanted) return std::nullopt;
        return Guard{};
      case Op::kNot:
        return find(child(in, 0), !wanted);
      case Op::kAnd:
        return wanted ? best(in, wanted) : all(in, wanted);
      case Op::kOr:
        return wanted ? all(in, wanted) : best(in, wanted);
      case Op::kTextIn:
        return wanted ? text(in) : std::nullopt;
      case Op::kIntCompare:
        return number(in, wanted);
      case Op::kInIpRange:
        if (!wanted || in.text[0].kind != TextSource::Kind::kField) return std::nullopt;
        return of(GuardAtom{Kind::kFieldRange, in.text[0].index, in.index, 0});
      case Op::kExists:
        return wanted ? exists(in) : std::nullopt;
      default:
        return std::nullopt;
    }
  }

 private:
  // Where the element of a slot comes from. An exists() that holds for some element of a list means
  // that each test its body cannot do without holds for some element of it.
  enum class Binding : std::uint8_t { kUnknown, kArgument, kAbove, kArgumentAbove };

  std::uint32_t child(const Instruction& in, std::uint32_t i) const {
    return code_.children[in.first_child + i];
  }

  Guard of(const GuardAtom& atom) const { return {{atom}, weight_of(code_, atom)}; }

  std::optional<Guard> best(const Instruction& in, bool wanted) {
    std::optional<Guard> out;
    for (std::uint32_t i = 0; i < in.child_count; ++i) {
      auto guard = find(child(in, i), wanted);
      if (guard && (!out || guard->weight < out->weight)) out = std::move(guard);
    }
    return out;
  }

  std::optional<Guard> all(const Instruction& in, bool wanted) {
    Guard out;
    for (std::uint32_t i = 0; i < in.child_count; ++i) {
      const auto guard = find(child(in, i), wanted);
      if (!guard) return std::nullopt;
      out.atoms.insert(out.atoms.end(), guard->atoms.begin(), guard->atoms.end());
      out.weight += guard->weight;
    }
    return out;
  }

  std::optional<Guard> text(const Instruction& in) const {
    const TextSource& source = in.text[0];
    switch (source.kind) {
      case TextSource::Kind::kField:
        return of({Kind::kFieldText, source.index, in.index, 0});
      case TextSource::Kind::kExecPath:
        return of({Kind::kExecPath, 0, in.index, 0});
      case TextSource::Kind::kElementExecPath:
        return of({Kind::kExecPathAbove, 0, in.index, 0});
      case TextSource::Kind::kElement:
        if (bindings_[source.index] == Binding::kArgument) {
          return of({Kind::kArgument, 0, in.index, 0});
        }
        if (bindings_[source.index] == Binding::kArgumentAbove) {
          return of({Kind::kArgumentAbove, 0, in.index, 0});
        }
        return std::nullopt;
      default:
        return std::nullopt;
    }
  }

  std::optional<Guard> number(const Instruction& in, bool wanted) const {
    const CompareOp equality = wanted ? CompareOp::kEqual : CompareOp::kNotEqual;
    if (in.compare != equality || in.number[0].is_field == in.number[1].is_field) {
      return std::nullopt;
    }
    const IntSource& field = in.number[in.number[0].is_field ? 0 : 1];
    const IntSource& value = in.number[in.number[0].is_field ? 1 : 0];
    return of({Kind::kFieldNumber, field.field, 0, value.number});
  }

  std::optional<Guard> exists(const Instruction& in) {
    switch (in.list.kind) {
      case ListSource::Kind::kArgv:
        bindings_[in.slot] = Binding::kArgument;
        break;
      case ListSource::Kind::kElementArgv:
        bindings_[in.slot] = Binding::kArgumentAbove;
        break;
      case ListSource::Kind::kAncestors:
      case ListSource::Kind::kDescendants:  // of an ancestor: ancestors of the process, too
        bindings_[in.slot] = Binding::kAbove;
        break;
      case ListSource::Kind::kNamed:
        bindings_[in.slot] = Binding::kUnknown;
        break;
    }
    return find(child(in, 0), true);
  }

  const Code& code_;
  std::array<Binding, kMaxSlots> bindings_{};
};

}  // namespace

std::optional<Guard> guard_of(const Code& code, std::uint32_t root) {
  return GuardFinder(code).find(root, true);
}

}  // namespace cicd
