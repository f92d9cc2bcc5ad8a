// SPDX-License-Identifier: Apache-2.0
// What the resolver of the C library answered: names of addresses that no DNS packet told of
// (/etc/hosts, a resolver behind a Unix socket, DNS over TLS).
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "track/tracker_impl.h"

namespace cicd {

namespace {

// Lower case, without the last dot, as NameTable has names. Empty: nothing that can be a name.
std::string_view presentable(const WireString& name, std::array<char, CICD_NAME_MAX>& buffer) {
  std::string_view text = name.bytes.substr(0, name.bytes.find('\0'));
  if (name.has(CICD_STRING_TRUNCATED | CICD_STRING_FAULT) || text.size() > buffer.size()) return {};
  if (text.ends_with('.')) text.remove_suffix(1);
  std::ranges::transform(text, buffer.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return {buffer.data(), text.size()};
}

// "192.0.2.1", "::1" or "fe80::1%eth0": asked for in digits.
bool is_address_text(std::string_view name) {
  return name.find(':') != std::string_view::npos ||
         name.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

void Tracker::Impl::on(const GetaddrinfoSample& sample, const Context& context) {
  owner_of(context);
  const cicd_sample_getaddrinfo& fixed = sample.fixed;
  std::array<char, CICD_NAME_MAX> buffer;
  const std::string_view name = presentable(sample.name, buffer);
  if (fixed.result != 0 || is_address_text(name)) return;
  const NameUser user{context.header.pid, context.header.start_time_ns};
  const std::size_t count = std::min<std::size_t>(fixed.address_count, CICD_ADDRESSES_MAX);
  for (const cicd_address& each : std::span(fixed.addresses, count)) {
    const std::size_t bytes = each.family == AF_INET ? 4 : sizeof(each.ip);
    const auto address = IpAddress::from({each.ip, bytes});
    if (!address) continue;
    context.job.names.table.add(*address,
                                {name, NameSource::kGetaddrinfo, user, context.header.time_ns, 0});
  }
}

}  // namespace cicd
