// SPDX-License-Identifier: Apache-2.0
#include "event/redact.h"

#include <charconv>
#include <cstdint>
#include <cstring>

#include "base/utf8.h"

namespace cicd {

namespace {

constexpr std::string_view kFlagsBeforeSecret[] = {
    "--token", "--pass", "--secret", "--api", "--key", "--auth", "--header", "-p", "-t", "-H",
};

constexpr std::string_view kSecretWords[] = {
    "token",   "pass", "key",  "auth", "secret", "cred", "bearer ",     "akia",   "asia",   "aiza",
    "gocspx-", "ghp_", "gho_", "ghu_", "ghs_",   "ghr_", "github_pat_", "glpat-", "glptt-",
};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool has_prefix_ignoring_case(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (lower(text[i]) != word[i]) return false;
  }
  return true;
}

// Which bytes start one of the words: most positions of an argument are passed by one look.
struct FirstLetters {
  bool is_first[256] = {};
  constexpr FirstLetters() {
    for (std::string_view word : kSecretWords) {
      is_first[static_cast<unsigned char>(word[0])] = true;
      if (word[0] >= 'a' && word[0] <= 'z') {
        is_first[static_cast<unsigned char>(word[0] - 32)] = true;
      }
    }
  }
};
constexpr FirstLetters kFirstLetters;

bool contains_secret_word(std::string_view argument) {
  for (std::size_t i = 0; i < argument.size(); ++i) {
    if (!kFirstLetters.is_first[static_cast<unsigned char>(argument[i])]) continue;
    for (std::string_view word : kSecretWords) {
      if (has_prefix_ignoring_case(argument.substr(i), word)) return true;
    }
  }
  return false;
}

bool announces_secret(std::string_view argument) {
  for (std::string_view flag : kFlagsBeforeSecret) {
    if (argument.starts_with(flag)) return true;
  }
  return false;
}

}  // namespace

std::string_view ArgvRedactor::next(std::string_view argument) {
  if (!enabled_) return argument;
  const bool hide = hide_next_;
  hide_next_ = announces_secret(argument);
  if (hide || contains_secret_word(argument)) return kRedacted;
  if (argument.size() <= kKeptBytes) return argument;

  const std::string_view kept = cut_utf8(argument, kKeptBytes);
  char* out = buffer_.data();
  const auto put = [&](std::string_view text) {
    std::memcpy(out, text.data(), text.size());
    out += text.size();
  };
  put(kept);
  put("<truncated, ");
  out = std::to_chars(out, out + 20, static_cast<std::uint64_t>(argument.size())).ptr;
  put(" bytes>");
  return {buffer_.data(), static_cast<std::size_t>(out - buffer_.data())};
}

std::vector<std::string> redact_argv(std::span<const std::string> argv) {
  ArgvRedactor redactor;
  std::vector<std::string> out;
  out.reserve(argv.size());
  for (const std::string& argument : argv) out.emplace_back(redactor.next(argument));
  return out;
}

}  // namespace cicd
