// SPDX-License-Identifier: Apache-2.0
#include "egress/policy_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace cicd {

namespace {

constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kLongestCompared = 32;

std::unexpected<Error> wrong(std::string text) {
  return fail(ErrorCode::kInvalidInput, std::move(text));
}

std::string quoted(std::string_view text) { return '"' + shown(std::string(text)) + '"'; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::uint16_t> port_of(std::string_view digits) {
  std::uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || !is_digit(digits[0]) || failure != std::errc() || stop != end) {
    return std::nullopt;
  }
  return port;
}

// What is no host at all, though people write it where one belongs; empty: nothing of the kind.
std::string what_else_it_is(const std::string& text) {
  if (text.empty()) return "the host is empty";
  if (text == "*") return "\"*\" would be every host; write egress: {default: allow} for that";
  if (text.find("://") != std::string::npos) {
    return quoted(text) + " is a URL; write the host alone, without https:// and path";
  }
  if (parse_ip(text) || parse_cidr(text)) {
    return quoted(text) + " is an address; write it as cidr";
  }
  if (text.find('/') != std::string::npos) {
    return quoted(text) + " has a path; a policy knows hosts and ports, write the host alone";
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string::npos && text.find(':', colon + 1) == std::string::npos) {
    return quoted(text) + " has a port; write the port under ports";
  }
  if (std::ranges::any_of(text,
                          [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; })) {
    return quoted(text) + " has letters beyond a to z; write the name as DNS has it, xn--...";
  }
  return "";
}

// What is wrong with a label; empty: nothing.
std::string mistake_of_label(std::string_view label) {
  if (label.empty()) return "there is nothing between two dots, or before the first";
  if (label.size() > kMaxLabelBytes) return quoted(label) + " is longer than 63 characters";
  if (label.starts_with('-') || label.ends_with('-')) {
    return quoted(label) + " begins or ends with a dash";
  }
  for (const char c : label) {
    if ((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_') continue;
    if (c == '*') {
      return "a * stands for whole names below a domain only: \"*.example.com\"";
    }
    return quoted(label) + " has a character that no host has";
  }
  return "";
}

}  // namespace

Result<std::string> parse_host(const std::string& text) {
  if (std::string other = what_else_it_is(text); !other.empty()) return wrong(std::move(other));
  std::string host = text;
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (host.ends_with('.')) host.pop_back();
  if (host.size() > kMaxHostBytes) return wrong("the host is longer than 253 characters");
  std::string_view rest = host;
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (std::string mistake = mistake_of_label(label); !mistake.empty()) {
      return wrong("host " + quoted(text) + ": " + mistake);
    }
    if (dot == std::string_view::npos) {
      if (std::ranges::all_of(label, is_digit)) {
        return wrong("host " + quoted(text) +
                     " ends in a number as only addresses do; write an address as cidr");
      }
      return host;
    }
    rest.remove_prefix(dot + 1);
  }
}

Result<PortRange> parse_ports(const std::string& text) {
  const std::size_t dash = text.find('-');
  const auto first = port_of(std::string_view(text).substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : port_of(std::string_view(text).substr(dash + 1));
  if (!first || !last) {
    return wrong(quoted(text) + " is no port; write 1 to 65535, or a range like \"8000-8100\"");
  }
  if (*first == 0) return wrong("port 0 cannot be reached; ports are 1 to 65535");
  if (*first > *last) {
    return wrong("the range " + quoted(text) + " is the wrong way round; write \"" +
                 std::to_string(*last) + "-" + std::to_string(*first) + "\"");
  }
  return PortRange{*first, *last};
}

std::vector<PortRange> joined_ports(std::vector<PortRange> ranges) {
  std::ranges::sort(ranges, {}, &PortRange::first);
  std::vector<PortRange> out;
  for (const PortRange& range : ranges) {
    if (!out.empty() && range.first <= static_cast<int>(out.back().last) + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

Result<IpPrefix> parse_net(const std::string& text) {
  if (const auto address = parse_ip(text)) return IpPrefix{*address, 128};
  if (const auto prefix = parse_cidr(text)) return *prefix;
  if (text.find('/') == std::string::npos && parse_host(text)) {
    return wrong(quoted(text) + " is a name; write it as host");
  }
  return wrong(
      quoted(text) +
      " is no range of addresses; write one like \"10.0.0.0/8\", \"fd00::/8\" or an address");
}

Result<std::string> parse_upstream(const std::string& text) {
  if (parse_ip(text)) return text;
  std::string_view host = text;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos) {
    host = host.substr(0, colon);
    const bool is_bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
    if (is_bracketed) host = host.substr(1, host.size() - 2);
    const auto port = port_of(std::string_view(text).substr(colon + 1));
    const bool is_v6 = host.find(':') != std::string_view::npos;
    if (port && *port != 0 && parse_ip(host) && is_v6 == is_bracketed) return text;
  }
  return wrong(quoted(text) +
               " is no name server; write an address, with a port if it is not 53: \"9.9.9.9\", "
               "\"10.0.0.2:5353\", \"[2620:fe::fe]:53\"");
}

Result<std::string> parse_project(const std::string& text) {
  const std::size_t star = text.find('*');
  if (text.empty()) return wrong("project is empty; leave it out for all projects");
  const bool is_group =
      star != std::string::npos && star + 1 == text.size() && star >= 2 && text[star - 1] == '/';
  if (star == std::string::npos || is_group) return text;
  return wrong(quoted(text) +
               ": a * stands for all projects of a group only, as the last part: \"group/*\"");
}

// Insertions, deletions, replacements, and neighbours that changed places.
std::string_view nearest(std::string_view word, std::initializer_list<std::string_view> known) {
  std::string_view out;
  if (word.size() > kLongestCompared) return out;
  std::size_t best = std::min<std::size_t>(3, word.size() / 2 + 1);
  for (const std::string_view candidate : known) {
    if (candidate.size() > kLongestCompared) continue;
    std::array<std::array<std::size_t, kLongestCompared + 1>, kLongestCompared + 1> cost{};
    for (std::size_t i = 0; i <= word.size(); ++i) {
      for (std::size_t j = 0; j <= candidate.size(); ++j) {
        if (i == 0 || j == 0) {
          cost[i][j] = i + j;
          continue;
        }
        const bool is_same = word[i - 1] == candidate[j - 1];
        cost[i][j] = std::min(
            {cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (is_same ? 0 : 1)});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
      }
    }
    if (cost[word.size()][candidate.size()] >= best) continue;
    best = cost[word.size()][candidate.size()];
    out = candidate;
  }
  return out;
}

}  // namespace cicd
