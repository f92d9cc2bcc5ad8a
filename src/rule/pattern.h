// SPDX-License-Identifier: Apache-2.0
// Pattern: a regular expression of matches() (RE2 syntax), ready to be asked. Texts come in normal
// form (normalize.h), so letters match in either case, and the pattern's own characters are brought
// into NFC; its letters stay as they are, \S is not \s.
//
// Immutable, any thread (RE2 locks inside). The time to ask is linear in the text, the memory that
// RE2 keeps is bounded by kMaxBytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cicd {

class Pattern {
 public:
  static constexpr std::int64_t kMaxBytes = 256 * 1024;  // compiled, with what asking adds

  struct Mistake {
    std::uint32_t offset = 0;  // byte of the pattern
    std::string text;
  };
  static std::optional<Mistake> mistake_in(const std::string& text);

  // `text` must have no mistake.
  explicit Pattern(const std::string& text);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  // Somewhere in `text`; the pattern says ^ and $ when it means the whole.
  bool matches(std::string_view text) const;
  const std::string& text() const { return text_; }

 private:
  struct Compiled;
  std::string text_;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace cicd
