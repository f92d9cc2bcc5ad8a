// SPDX-License-Identifier: Apache-2.0
// DNS: packets of a job to the names it asks for, and to what its addresses are called. How names
// are attributed and for how long: docs/names.md.
#include <netinet/in.h>

#include <algorithm>

#include "track/ip_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

// What is told of a name once in a while (RecentNames): that an address of it was asked for, that
// another type was, and each answer.
constexpr std::uint32_t kAskedForAddress = 0;
constexpr std::uint32_t kAskedForType = 1 << 16;
constexpr std::uint32_t kAnswered = 1 << 17;

bool is_address_type(std::uint16_t type) {
  return type == kDnsA || type == kDnsAaaa || type == kDnsHttps || type == kDnsSvcb;
}

IpAddress address_of(const cicd_sample_dns& fixed) {
  const std::size_t bytes = fixed.family == AF_INET ? 4 : sizeof(fixed.remote_ip);
  return *IpAddress::from({fixed.remote_ip, bytes});
}

NameUser user_of(const cicd_sample_header& header) { return {header.pid, header.start_time_ns}; }

// "_8443._https.a.test" is asked for to connect to a.test (RFC 9460 2.3).
std::string_view without_service(std::string_view name) {
  while (name.starts_with('_')) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  return name;
}

// "a, b, c", built at the end of an arena's text.
class ListWriter {
 public:
  explicit ListWriter(std::string& out) : out_(out) { out_.clear(); }
  void add(std::string_view text) {
    if (!out_.empty()) out_.append(", ");
    out_.append(text);
  }

 private:
  std::string& out_;
};

}  // namespace

void Tracker::Impl::on(const DnsSample& sample, const Context& context) {
  const cicd_sample_dns& fixed = sample.fixed;
  const std::span<const std::uint8_t> bytes(
      reinterpret_cast<const std::uint8_t*>(sample.payload.bytes.data()),
      sample.payload.bytes.size());
  JobNames& names = context.job.names;
  if (fixed.protocol == IPPROTO_TCP) {
    const DnsSegment segment{fixed.socket_cookie, (fixed.header.flags & CICD_DNS_INGRESS) != 0,
                             fixed.tcp_sequence, fixed.payload_bytes, bytes};
    names.streams.add(segment, [&](std::span<const std::uint8_t> message, bool is_whole) {
      on_dns_message(message, is_whole, sample, context);
    });
    return;
  }
  const std::size_t each = fixed.tcp_sequence == 0 ? bytes.size() : fixed.tcp_sequence;
  for (std::size_t at = 0; at < bytes.size(); at += each) {
    const auto datagram = bytes.subspan(at, std::min(each, bytes.size() - at));
    const bool is_last = at + datagram.size() == bytes.size();
    const bool is_whole = !is_last || fixed.payload_bytes <= bytes.size();
    if (!is_whole) ++names.incomplete;
    on_dns_message(datagram, is_whole, sample, context);
  }
}

void Tracker::Impl::on_dns_message(std::span<const std::uint8_t> bytes, bool is_whole,
                                   const DnsSample& sample, const Context& context) {
  parse_dns(bytes, dns_);
  JobNames& names = context.job.names;
  // A datagram cut by its sender is wrong; one cut on the way to us is counted as that.
  const bool is_cut = dns_.error == DnsError::kCut && (!is_whole || dns_.is_truncated);
  if (dns_.error != DnsError::kNone && !is_cut) ++names.malformed;
  const bool is_ingress = (sample.fixed.header.flags & CICD_DNS_INGRESS) != 0;
  OpenQuestion question{sample.fixed.socket_cookie, address_of(sample.fixed), dns_.id, 0, {}};
  if (is_ingress) {
    if (!dns_.is_response || dns_.questions().empty()) return;
    question.type = dns_.questions()[0].type;
    question.name = dns_.questions()[0].name();
    on_dns_answer(question, context);
    return;
  }
  // Whatever goes out is a question: a tunnel need not keep to the bit that says so.
  for (const DnsQuestion& each : dns_.questions()) {
    question.type = each.type;
    question.name = each.name();
    names.pending.add(question);
    add_domain(each, false, context);
  }
}

void Tracker::Impl::on_dns_answer(const OpenQuestion& question, const Context& context) {
  JobNames& names = context.job.names;
  if (!names.pending.has(question)) {
    ++names.unasked;
  } else {
    const std::string_view name = is_address_type(question.type) && question.type >= kDnsSvcb
                                      ? without_service(question.name)
                                      : question.name;
    const NameSource source = (context.header.flags & CICD_DNS_RESOLVER) != 0
                                  ? NameSource::kResolver
                                  : NameSource::kDnsAnswer;
    for (const DnsAddress& each : dns_.addresses()) {
      names.table.add(each.address,
                      {name, source, user_of(context.header), context.header.time_ns, each.ttl_s});
    }
  }
  add_domain(dns_.questions()[0], true, context);
}

void Tracker::Impl::add_domain(const DnsQuestion& question, bool is_answer,
                               const Context& context) {
  namespace f = field::domain;
  std::uint32_t kind =
      is_address_type(question.type) ? kAskedForAddress : kAskedForType | question.type;
  if (is_answer) kind = kAnswered | question.type;
  const cicd_sample_header& header = context.header;
  const bool is_new =
      context.job.names.recent.is_new(user_of(header), question.name(), kind, header.time_ns);
  if (!is_new) return;
  const Owner owner = (header.flags & CICD_DNS_UNKNOWN_OWNER) != 0 ? nobody() : owner_of(context);
  EventRecord* record = add_record(EventType::kDomain, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  std::array<char, 12> number{};
  record->fields[f::kDomain] = arena.store(question.name());
  record->fields[f::kSource] = "dns";
  record->fields[f::kQueryType] = arena.store(dns_type_text(question.type, number));
  if (is_answer) fill_answer(*record, arena);
}

// Stands for the process of a socket that nobody was seen to use. It is in no table: it does not
// count as alive.
Tracker::Impl::Owner Tracker::Impl::nobody() {
  if (nobody_.current == nullptr) {
    auto picture = std::make_shared<Process>();
    picture->image = unknown_image_;
    picture->id = next_id_++;
    nobody_.current = std::move(picture);
  }
  return {nobody_, nobody_.current};
}

void Tracker::Impl::fill_answer(EventRecord& record, Arena& arena) {
  namespace f = field::domain;
  std::array<char, 12> number{};
  record.fields[f::kResult] = arena.store(dns_rcode_text(dns_.rcode, number));
  ListWriter list(list_text_);
  if (dns_.alias_count > 0) list.add(dns_.alias.view());
  for (const DnsAddress& each : dns_.addresses()) list.add(ip_text(each.address, arena));
  record.fields[f::kAnswers] = arena.store(list_text_);
}

void Tracker::Impl::fill_domain(EventRecord& record, const IpAddress& address,
                                const Context& context) {
  namespace f = field::network_connect;
  const NameTable& table = context.job.names.table;
  const auto match = table.find(address, user_of(context.header), context.header.time_ns);
  if (!match) return;
  Arena& arena = context.batch->arena;
  record.fields[f::kDomain] = arena.store(match->name);
  record.fields[f::kDomainSource] = name_of(match->source);
  if (!match->is_ambiguous()) return;
  record.marks |= kMarkAmbiguousDomain;
  ListWriter list(list_text_);
  for (const std::string_view other : match->others()) list.add(other);
  record.fields[f::kDomainCandidates] = arena.store(list_text_);
}

void Tracker::Impl::add_name_losses(const JobNames& names, LossReport& report) {
  const auto add = [&](std::string_view what, std::string_view reason, std::uint64_t count) {
    if (count > 0) report.entries.push_back({std::string(what), std::string(reason), count});
  };
  add("domain", "malformed_message", names.malformed);
  add("domain", "incomplete_message", names.incomplete + names.streams.incomplete());
  add("domain", "unasked_answer", names.unasked);
  add("names", "table_full", names.table.dropped());
}

}  // namespace cicd
