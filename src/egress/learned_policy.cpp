// SPDX-License-Identifier: Apache-2.0
#include "egress/learned_policy.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/time_format.h"
#include "rule/ip_prefix.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxCommentBytes = 120;
constexpr std::size_t kMaxHostBytes = 253;

// Of a comment: one line of printable ASCII.
std::string plain(std::string_view text) {
  std::string out(text.substr(0, kMaxCommentBytes));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out.size() < text.size() ? out + "..." : out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (out.ends_with('.')) out.pop_back();
  return out;
}

// As a name of DNS is written plainly: letters, digits, '-', '_', in labels of 1 to 63. Nothing of
// it has a meaning in YAML. At least one letter, so that it is no number either.
bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxHostBytes) return false;
  std::size_t label = 0;
  bool has_letter = false;
  for (const char c : name) {
    const bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
    has_letter |= is_letter;
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (is_letter || (c >= '0' && c <= '9') || c == '-') {
      if (++label > 63) return false;
    } else {
      return false;
    }
  }
  return label > 0 && has_letter;
}

std::string_view proto_word(std::string_view proto) {
  if (proto == "tcp" || proto == "udp") return proto;
  return proto == "1" || proto == "58" || proto == "icmp" ? std::string_view("icmp")
                                                          : std::string_view();
}

std::string day(std::uint64_t time_ns) { return format_rfc3339(time_ns).substr(0, 10); }

std::string jobs_text(std::uint64_t jobs) {
  return std::to_string(jobs) + (jobs == 1 ? " job" : " jobs");
}

// An entry of the file: the ports of a host with one protocol.
struct Entry {
  std::string host;
  std::string_view proto;
  std::vector<const LearnedDestination*> uses;
};

class Writer {
 public:
  Writer(const Learned& learned, const LearnedPolicyOptions& options)
      : learned_(learned), options_(options) {}

  std::string write() {
    collect();
    head();
    if (entries_.empty()) {
      out_ += "  allow: []\n";
    } else {
      out_ += "  allow:\n";
      for (const Entry& entry : entries_) write(entry);
    }
    for (const LearnedDestination* each : unwritable_) {
      out_ += "    # cannot be an entry: " + learned_text(*each) + ", ";
      note(*each);
    }
    return std::move(out_);
  }

 private:
  void collect() {
    for (const LearnedDestination& each : learned_.destinations) {
      const std::string host = lower(each.host);
      const std::string_view proto = proto_word(each.proto);
      const bool is_entry = (parse_ip(host) || is_plain_name(host)) && !proto.empty() &&
                            (each.port != 0 || proto == "icmp");
      if (!is_entry) {
        unwritable_.push_back(&each);
        continue;
      }
      const auto known = std::ranges::find_if(
          entries_, [&](const Entry& entry) { return entry.host == host && entry.proto == proto; });
      Entry& entry =
          known != entries_.end() ? *known : entries_.emplace_back(Entry{host, proto, {}});
      entry.uses.push_back(&each);
    }
    // Names first; addresses are what a reviewer has to look at.
    std::ranges::stable_sort(entries_, [](const Entry& a, const Entry& b) {
      const bool a_is_ip = parse_ip(a.host).has_value(), b_is_ip = parse_ip(b.host).has_value();
      if (a_is_ip != b_is_ip) return b_is_ip;
      return a.host != b.host ? a.host < b.host : a.proto < b.proto;
    });
  }

  void head() {
    out_ += "# Egress policy of " + plain(options_.project) + ", learned from " +
            jobs_text(learned_.jobs) + ".\n";
    out_ += "# Review each entry before it is used: what a job did is not what it may do.\n";
    out_ += "# REVIEW marks what fewer than " + jobs_text(options_.min_jobs) + " used.\n";
    if (learned_.left_out > 0) {
      out_ += "# Left out: " + std::to_string(learned_.left_out) +
              " destinations, more than are remembered of a project.\n";
    }
    out_ += "version: 1\nprofile: learned\negress:\n  default: deny\n";
  }

  void note(const LearnedDestination& each) {
    if (each.jobs < options_.min_jobs) out_ += "REVIEW: ";
    out_ += jobs_text(each.jobs) + ", " + day(each.first_ns) + " to " + day(each.last_ns);
    if (!each.exec_path.empty()) out_ += ", by " + plain(each.exec_path);
    if (!each.step.empty()) out_ += " in step " + plain(each.step);
    out_ += '\n';
  }

  void write(const Entry& entry) {
    std::string ports;
    for (const LearnedDestination* each : entry.uses) {
      out_ += "    # ";
      if (entry.proto != "icmp") out_ += std::to_string(each->port) + ": ";
      note(*each);
      ports += (ports.empty() ? "" : ", ") + std::to_string(each->port);
    }
    const bool is_ip = parse_ip(entry.host).has_value();
    const bool is_v6 = entry.host.find(':') != std::string::npos;
    out_ += is_ip ? "    - cidr: \"" + entry.host + (is_v6 ? "/128" : "/32") + "\"\n"
                  : "    - host: \"" + entry.host + "\"\n";
    if (entry.proto != "icmp") out_ += "      ports: [" + ports + "]\n";
    out_ += "      proto: ";
    out_.append(entry.proto).push_back('\n');
  }

  const Learned& learned_;
  const LearnedPolicyOptions& options_;
  std::vector<Entry> entries_;
  std::vector<const LearnedDestination*> unwritable_;
  std::string out_;
};

}  // namespace

std::string learned_policy(const Learned& learned, const LearnedPolicyOptions& options) {
  return Writer(learned, options).write();
}

std::string learned_text(const LearnedUse& use) {
  return plain(use.host) + ":" + std::to_string(use.port) + "/" + plain(use.proto);
}

}  // namespace cicd
