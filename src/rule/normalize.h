// SPDX-License-Identifier: Apache-2.0
// How rules see text: lower-cased (simple case mapping) and in Unicode's NFC form. Bytes that are
// not UTF-8 stay as they are, so two different broken names stay different.
//
// A Normalizer keeps its scratch memory: no allocation in the steady state. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cicd {

class Normalizer {
 public:
  // Appends the normal form of `text` to `out`.
  void append(std::string_view text, std::string& out);
  // The normal form: `text` itself where it is in that form already, otherwise a view of `buffer`.
  std::string_view view(std::string_view text, std::string& buffer);

 private:
  void append_unicode(std::string_view text, std::string& out);
  // Adds the decomposed characters of the valid UTF-8 at `at` to codes_; the offset behind them.
  std::size_t decompose(std::string_view text, std::size_t at);
  void order_marks();

  std::vector<std::int32_t> codes_;
};

std::string normalized(std::string_view text);

}  // namespace cicd
