// SPDX-License-Identifier: Apache-2.0
// Host names as policies write them, and tables of rules by host. For policy.cpp and
// job_egress.cpp. Any thread; looking up allocates nothing.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "egress/policy.h"

namespace cicd {

// A name in lower case and without its last dot. What is no host name (a dot inside a label, a byte
// that no host has) is empty: no rule can mean it.
class PlainName {
 public:
  explicit PlainName(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.size() > text_.size()) return;
    for (std::size_t i = 0; i < name.size(); ++i) {
      char c = name[i];
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      const bool is_plain =
          (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
      if (!is_plain) return;
      text_[i] = c;
    }
    size_ = name.size();
  }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, kMaxHostBytes> text_;
  std::size_t size_ = 0;
};

// Values by host pattern of a policy: exact names, and "*.example.com" for all below it.
template <typename Value>
class HostTable {
 public:
  Value& operator[](std::string_view pattern) {
    return pattern.starts_with("*.") ? below_[std::string(pattern.substr(2))]
                                     : exact_[std::string(pattern)];
  }

  // Calls `visit(value)` for every pattern that `name` (plain) is of, the most specific first.
  template <typename Visit>
  void visit_matches(std::string_view name, const Visit& visit) const {
    if (name.empty()) return;
    if (const auto found = exact_.find(name); found != exact_.end()) visit(found->second);
    visit_below(name, visit);
  }
  // Of the wildcards only.
  template <typename Visit>
  void visit_below(std::string_view name, const Visit& visit) const {
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      name.remove_prefix(dot + 1);
      if (const auto found = below_.find(name); found != below_.end()) visit(found->second);
    }
  }
  template <typename Visit>
  void visit_all(const Visit& visit) const {
    for (const auto& [name, value] : exact_) visit(name, value);
    for (const auto& [name, value] : below_) visit("*." + name, value);
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;
  Map exact_, below_;
};

}  // namespace cicd
