// SPDX-License-Identifier: Apache-2.0
// Checker: Ast -> Checked. Inside of check_condition() only (checked.h). Names, fields and logic
// are in checker.cpp, macros and lists in list_checker.cpp, other values and functions in
// value_checker.cpp.
//
// One use per object; one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rule/checked.h"

namespace cicd {

class Checker {
 public:
  Checker(const Ast& ast, const NamedLists& lists, EventType event_type, RuleLanguage language,
          std::vector<CodeMistake>& mistakes);
  Checked run();

 private:
  // A name that a macro binds: to each element of a list in turn, or (`bound`) to one that is
  // written out.
  struct Variable {
    std::string_view name;
    ValueType type = ValueType::kError;
    std::uint8_t slot = kNoVariable;
    std::uint32_t bound = 0;
  };
  using Nodes = std::vector<std::uint32_t>;

  // checker.cpp
  std::uint32_t check(std::uint32_t index);
  std::uint32_t check_literal(const AstNode& node);
  std::uint32_t check_bool(std::uint32_t index, std::string_view where);
  std::uint32_t check_logic(const AstNode& node, CheckedKind kind);
  std::uint32_t check_name(const AstNode& node);
  std::uint32_t field(const AstNode& node, std::size_t index);
  std::uint32_t unknown_name(const AstNode& node);
  std::string field_names() const;
  std::uint32_t check_select(const AstNode& node);
  std::uint32_t select_process(const AstNode& node, ValueType of, std::uint8_t variable);
  std::uint32_t select_step(const AstNode& node);
  std::uint32_t select_list(const AstNode& node);
  std::uint32_t check_method(const AstNode& node);
  std::uint32_t check_call(const AstNode& node);
  void refuse_function(const AstNode& node);

  // list_checker.cpp
  std::uint32_t check_list(const AstNode& node);
  std::uint32_t check_macro(const AstNode& node, CheckedKind kind);
  std::uint32_t check_body(const AstNode& node, Variable variable);
  std::uint32_t unroll(const AstNode& node, CheckedKind kind, std::uint32_t list);
  std::uint32_t check_in(const AstNode& node);
  std::uint32_t is_in_strings(const AstNode& node, std::uint32_t value, std::uint32_t list);
  std::uint32_t compare_lists(const AstNode& node, std::uint32_t left, std::uint32_t right);

  // value_checker.cpp
  std::uint32_t check_compare(const AstNode& node);
  std::uint32_t compare(const AstNode& node, CompareOp op, std::uint32_t left, std::uint32_t right);
  std::uint32_t compare_types(const AstNode& node, CompareOp op, std::uint32_t left,
                              std::uint32_t right);
  std::uint32_t check_choose(const AstNode& node);
  std::uint32_t check_negate(const AstNode& node);
  std::uint32_t check_conversion(const AstNode& node);
  std::uint32_t check_size(const AstNode& node);
  std::uint32_t check_matches(const AstNode& node);
  std::uint32_t check_text_test(const AstNode& node, CheckedKind kind);
  std::uint32_t check_in_ip_range(const AstNode& node);

  // False, and reported, when the language of the rule set has no such thing.
  bool is_extended(const AstNode& node, std::string_view what, std::string_view instead);

  std::uint32_t add(CheckedNode node);
  std::uint64_t weight_of(const CheckedNode& node) const;
  std::uint32_t error_node() { return add({}); }
  std::uint32_t fail(const AstNode& node, std::string text) {
    mistakes_.push_back({node.offset, std::move(text), false});
    return error_node();
  }
  CheckedNode make(CheckedKind kind, ValueType type, std::uint8_t variable = kNoVariable) {
    CheckedNode node;
    node.kind = kind;
    node.type = type;
    node.variable = variable;
    return node;
  }
  std::uint32_t join(CheckedKind kind, ValueType type, Nodes children);
  std::uint32_t boolean(bool value);
  // `node`, which is an error when one of `values` is.
  std::uint32_t require(std::uint32_t node, const Nodes& values);
  ValueType type_of(std::uint32_t node) const { return out_[node].type; }
  // "a string", to be put into a sentence.
  std::string a_type(std::uint32_t node) const;

  const Ast& ast_;
  const NamedLists& lists_;
  const EventTypeInfo& info_;
  const RuleLanguage language_;
  std::vector<CodeMistake>& mistakes_;
  Checked out_;
  std::vector<Variable> scope_;
  std::uint8_t slots_ = 0;  // variables of scope_ that have one
  bool is_too_large_ = false;
};

// How messages call a type: "string", "list of strings".
std::string_view name_of(ValueType type);

}  // namespace cicd
