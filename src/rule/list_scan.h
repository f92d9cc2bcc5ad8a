// SPDX-License-Identifier: Apache-2.0
// ListScan: the body of an exists() over a named list, made ready to be asked of each of its
// elements. Lists of names and paths are long and the question is short (`domain == d ||
// domain.endsWith(d)`): what does not depend on the element is looked up once here, and then only
// text is compared.
//
// Threads: belongs to one evaluator. Lifetime: views of a prepare() hold until the next one, and
// while the event, the process and the program do. Allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/function_ref.h"
#include "rule/code.h"

namespace cicd {

class ListScan {
 public:
  static constexpr std::size_t kMaxNodes = 8;

  // False when the body under `root` is none of this kind: too big, with another exists() in it, or
  // with an answer that is kept. `text` gives the text of a source that is not the element in
  // `slot`.
  bool prepare(const Code& code, std::uint32_t root, std::uint8_t slot,
               FunctionRef<std::string_view(const TextSource&)> text);
  bool matches(std::string_view element) const { return matches(0, element); }

 private:
  struct Node {
    Op op = Op::kConstant;
    CompareOp compare = CompareOp::kEqual;
    bool is_left_element = false;
    bool is_right_element = false;
    std::uint8_t child_count = 0;
    std::array<std::uint8_t, kMaxNodes> children{};
    std::string_view left;
    std::string_view right;
  };

  bool add(const Code& code, std::uint32_t index, std::uint8_t slot,
           FunctionRef<std::string_view(const TextSource&)> text);
  bool matches(std::size_t node, std::string_view element) const;

  std::array<Node, kMaxNodes> nodes_;
  std::size_t count_ = 0;
};

}  // namespace cicd
