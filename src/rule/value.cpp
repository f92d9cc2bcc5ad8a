// SPDX-License-Identifier: Apache-2.0
#include "rule/value.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "rule/duration.h"

namespace cicd {

namespace {

constexpr double kTwoTo63 = 9223372036854775808.0;
constexpr double kNsPerSecond = 1e9;

std::uint64_t bits(const Value& value) { return static_cast<std::uint64_t>(value.number); }
double real(const Value& value) {
  switch (value.type) {
    case ValueType::kDouble:
      return std::bit_cast<double>(value.number);
    case ValueType::kUint:
      return static_cast<double>(bits(value));
    default:
      return static_cast<double>(value.number);
  }
}
Value number(ValueType type, std::int64_t value) { return {type, value, {}}; }
Value number(double value) {
  return number(ValueType::kDouble, std::bit_cast<std::int64_t>(value));
}

template <typename T>
std::optional<T> parse(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  T out{};
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failure != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return out;
}

template <typename T>
std::optional<Value> parsed(std::string_view text, ValueType type) {
  const auto out = parse<T>(text);
  if (!out) return std::nullopt;
  return number(type, std::bit_cast<std::int64_t>(*out));
}

std::optional<Value> to_int(const Value& value) {
  switch (value.type) {
    case ValueType::kString:
      return parsed<std::int64_t>(value.text, ValueType::kInt);
    case ValueType::kUint:
      if (value.number < 0) return std::nullopt;
      return number(ValueType::kInt, value.number);
    default: {
      const double from = real(value);
      // The least int itself is refused too: the specification has it so.
      if (!(from > -kTwoTo63 && from < kTwoTo63)) return std::nullopt;
      return number(ValueType::kInt, static_cast<std::int64_t>(from));
    }
  }
}

std::optional<Value> to_uint(const Value& value) {
  switch (value.type) {
    case ValueType::kString:
      return parsed<std::uint64_t>(value.text, ValueType::kUint);
    case ValueType::kInt:
      if (value.number < 0) return std::nullopt;
      return number(ValueType::kUint, value.number);
    default: {
      const double from = real(value);
      if (!(from >= 0 && from < 2 * kTwoTo63)) return std::nullopt;
      return number(ValueType::kUint,
                    std::bit_cast<std::int64_t>(static_cast<std::uint64_t>(from)));
    }
  }
}

std::optional<Value> to_bool(std::string_view text) {
  if (text == "1" || text == "t" || text == "true") return number(ValueType::kBool, 1);
  if (text == "0" || text == "f" || text == "false") return number(ValueType::kBool, 0);
  return std::nullopt;
}

template <typename T, typename... Format>
char* write(NumberText& buffer, T value, Format... format) {
  return std::to_chars(buffer.data(), buffer.data() + buffer.size() - 1, value, format...).ptr;
}

Value to_text(const Value& value, NumberText& buffer) {
  char* end = nullptr;
  switch (value.type) {
    case ValueType::kBool:
      return {ValueType::kString, 0, value.number != 0 ? "true" : "false"};
    case ValueType::kUint:
      end = write(buffer, bits(value));
      break;
    case ValueType::kDouble:
      end = write(buffer, real(value), std::chars_format::fixed);
      break;
    case ValueType::kDuration:
      end = write(buffer, real(value) / kNsPerSecond, std::chars_format::fixed);
      *end++ = 's';
      break;
    default:
      end = write(buffer, value.number);
      break;
  }
  return {ValueType::kString, 0, {buffer.data(), static_cast<std::size_t>(end - buffer.data())}};
}

std::optional<Value> negated(const Value& value) {
  if (value.type == ValueType::kDouble) return number(-real(value));
  if (value.number == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return number(value.type, -value.number);
}

}  // namespace

std::optional<Value> convert(const Value& value, ValueType type, NumberText* buffer) {
  if (value.type == type) return value;
  switch (type) {
    case ValueType::kInt:
      return to_int(value);
    case ValueType::kUint:
      return to_uint(value);
    case ValueType::kDouble:
      if (value.type == ValueType::kString) return parsed<double>(value.text, type);
      return number(real(value));
    case ValueType::kBool:
      return to_bool(value.text);
    case ValueType::kDuration: {
      const auto duration = parse_duration(value.text);
      if (!duration) return std::nullopt;
      return number(type, *duration);
    }
    default:
      if (buffer == nullptr) return std::nullopt;
      return to_text(value, *buffer);
  }
}

std::int64_t count_characters(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::int64_t count = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    at += used > 0 ? static_cast<std::size_t>(used) : 1;
    ++count;
  }
  return count;
}

std::optional<Value> find_value(std::span<const ValueNode> nodes, std::uint32_t index,
                                ValueSource& source, std::span<NumberText> buffers) {
  const ValueNode& node = nodes[index];
  using Op = ValueNode::Op;
  switch (node.op) {
    case Op::kNumber:
      return number(node.type, node.number);
    case Op::kField:
      return number(node.type, source.field_number(node.index));
    case Op::kUid:
      return number(node.type, source.uid_of(node.index));
    case Op::kText:
      return Value{ValueType::kString, 0, source.text_of(node.text)};
    case Op::kBool:
      if (source.is_true(node.first)) return number(ValueType::kBool, 1);
      if (source.is_true(node.second)) return number(ValueType::kBool, 0);
      return std::nullopt;
    case Op::kTextSize: {
      const auto value = find_value(nodes, node.first, source, buffers);
      if (!value) return std::nullopt;
      return number(node.type, count_characters(value->text));
    }
    case Op::kListSize:
      return number(node.type, static_cast<std::int64_t>(source.size_of(node.list)));
    case Op::kConvert: {
      const auto value = find_value(nodes, node.first, source, buffers);
      if (!value) return std::nullopt;
      const bool is_text = node.type == ValueType::kString;
      return convert(*value, node.type, is_text ? &buffers[node.second] : nullptr);
    }
    case Op::kNegate: {
      const auto value = find_value(nodes, node.first, source, buffers);
      return value ? negated(*value) : std::nullopt;
    }
    case Op::kChoose:
      if (source.is_true(node.question)) return find_value(nodes, node.first, source, buffers);
      if (source.is_true(node.otherwise)) return find_value(nodes, node.second, source, buffers);
      return std::nullopt;
  }
  return std::nullopt;
}

std::partial_ordering compare_values(const Value& left, const Value& right) {
  if (left.type != right.type || left.type == ValueType::kDouble) return real(left) <=> real(right);
  if (left.type == ValueType::kString) return left.text <=> right.text;
  if (left.type == ValueType::kUint) return bits(left) <=> bits(right);
  return left.number <=> right.number;
}

bool holds(CompareOp op, std::partial_ordering order) {
  switch (op) {
    case CompareOp::kEqual:
      return order == 0;
    case CompareOp::kNotEqual:
      return order != 0;
    case CompareOp::kLess:
      return order < 0;
    case CompareOp::kLessEqual:
      return order <= 0;
    case CompareOp::kGreater:
      return order > 0;
    case CompareOp::kGreaterEqual:
      return order >= 0;
  }
  return false;
}

}  // namespace cicd
