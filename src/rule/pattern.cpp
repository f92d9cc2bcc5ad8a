// SPDX-License-Identifier: Apache-2.0
#include "rule/pattern.h"

#include <re2/re2.h>
#include <utf8proc.h>

#include <cstdlib>

#include "rule/diagnostic.h"

namespace cicd {

namespace {

constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

RE2::Options options() {
  RE2::Options out;
  out.set_log_errors(false);
  out.set_case_sensitive(false);
  out.set_max_mem(Pattern::kMaxBytes);
  return out;
}

std::string composed(const std::string& text) {
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out, kOptions);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  if (size < 0) return text;  // not UTF-8, which RE2 refuses
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(size)};
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

struct Pattern::Compiled {
  explicit Compiled(const std::string& text) : expression(piece(composed(text)), options()) {}
  RE2 expression;
};

std::optional<Pattern::Mistake> Pattern::mistake_in(const std::string& text) {
  const RE2 expression(piece(composed(text)), options());
  if (expression.ok()) return std::nullopt;
  if (expression.error_code() == RE2::ErrorPatternTooLarge) {
    return Mistake{0,
                   "the pattern is too large (256 KiB compiled); make it shorter, repeat less "
                   "often, or make several of it"};
  }
  const std::size_t at = text.find(expression.error_arg());
  return Mistake{static_cast<std::uint32_t>(at == std::string::npos ? 0 : at),
                 "this is no regular expression (RE2 syntax): " + shown(expression.error())};
}

Pattern::Pattern(const std::string& text)
    : text_(text), compiled_(std::make_unique<Compiled>(text)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

bool Pattern::matches(std::string_view text) const {
  return compiled_->expression.Match(piece(text), 0, text.size(), RE2::UNANCHORED, nullptr, 0);
}

}  // namespace cicd
