// SPDX-License-Identifier: Apache-2.0
// Any bytes as a DNS message, and as a TCP stream of them: nothing is read outside, what is told
// keeps its limits, and what is told twice is the same.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "names/dns_message.h"
#include "names/dns_stream.h"

namespace {

using cicd::DnsMessage;

void must(bool condition) {
  if (!condition) std::abort();
}

void must_be_presentable(std::string_view name) {
  must(!name.empty() && name.size() <= cicd::kMaxDnsNameText);
  must(std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; }));
  must(std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; }));
}

void parse(std::span<const std::uint8_t> bytes) {
  static const auto message = std::make_unique<DnsMessage>();
  static const auto again = std::make_unique<DnsMessage>();
  parse_dns(bytes, *message);
  for (const auto& question : message->questions()) must_be_presentable(question.name());
  must(message->alias_count <= cicd::kMaxDnsChain);
  if (message->alias_count > 0 && message->error == cicd::DnsError::kNone) {
    must_be_presentable(message->alias.view());
  }
  must(bytes.size() >= 12 || message->error == cicd::DnsError::kNoHeader);
  parse_dns(bytes, *again);
  must(again->error == message->error);
  must(again->address_count == message->address_count);
  std::array<char, 12> text{};
  for (const auto& question : message->questions()) {
    must(!cicd::dns_type_text(question.type, text).empty());
  }
}

// The first byte says how large the segments are; the second, which of them are missing.
void stream(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 2) return;
  const std::size_t step = bytes[0] % 64 + 1u;
  const std::uint8_t missing = bytes[1];
  cicd::DnsStreams streams;
  const auto rest = bytes.subspan(2);
  for (std::size_t at = 0, i = 0; at < rest.size(); at += step, ++i) {
    if ((missing & 1u << i % 8) != 0) continue;
    const auto part = rest.subspan(at, std::min(step, rest.size() - at));
    const cicd::DnsSegment segment{i % 3, i % 2 == 0, static_cast<std::uint32_t>(at),
                                   static_cast<std::uint32_t>(part.size() + missing % 3), part};
    streams.add(segment, [](std::span<const std::uint8_t> message, bool) {
      must(!message.empty() && message.size() <= cicd::DnsStreams::kMaxMessageBytes);
      parse(message);
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  parse({data, size});
  stream({data, size});
  return 0;
}
