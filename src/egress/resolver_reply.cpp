// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_reply.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace cicd {

namespace {

constexpr std::uint16_t kUpstreamUdpBytes = 1'232;  // fragments are what spoofers like
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kEdeOption = 15;
enum SvcParameter : std::uint16_t { kMandatory = 0, kIpv4Hint = 4, kIpv6Hint = 6 };

// Appends to a buffer; what does not fit is remembered and not written.
class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) : out_(out) {}

  std::size_t size() const { return size_; }
  bool has_fit() const { return has_fit_; }
  void cut_back(std::size_t size) { size_ = size; }

  void u8(unsigned value) {
    const auto byte = static_cast<std::uint8_t>(value);
    bytes({&byte, 1});
  }
  void u16(unsigned value) {
    u8(value >> 8 & 0xff);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void bytes(std::span<const std::uint8_t> data) {
    if (!has_fit_ || data.size() > out_.size() - size_) {
      has_fit_ = false;
      return;
    }
    if (!data.empty()) std::memcpy(out_.data() + size_, data.data(), data.size());
    size_ += data.size();
  }
  void patch_u16(std::size_t at, std::size_t value) {
    if (!has_fit_) return;
    out_[at] = static_cast<std::uint8_t>(value >> 8);
    out_[at + 1] = static_cast<std::uint8_t>(value);
  }

 private:
  std::span<std::uint8_t> out_;
  std::size_t size_ = 0;
  bool has_fit_ = true;
};

struct Flags {
  std::uint8_t rcode = 0;
  bool is_truncated = false;
  bool is_authentic = false;
};

void header(Writer& out, const DnsAsk& ask, Flags flags, bool has_question) {
  out.u16(ask.id);
  out.u8(0x80u | (flags.is_truncated ? 0x02u : 0u) | (ask.wants_recursion ? 0x01u : 0u));
  out.u8(0x80u | (flags.is_authentic ? 0x20u : 0u) | (ask.is_checking_off ? 0x10u : 0u) |
         (flags.rcode & 0x0fu));
  out.u16(has_question ? 1 : 0);
  out.u16(0);
  out.u16(0);
  out.u16(has_question && ask.has_edns ? 1 : 0);
  if (!has_question) return;
  out.bytes(ask.wire_name());
  out.u16(ask.type);
  out.u16(ask.record_class);
}

std::string_view text_of(ExtendedError error) {
  switch (error) {
    case ExtendedError::kBlocked:
      return "the egress policy of this job does not allow it";
    case ExtendedError::kFiltered:
      return "this resolver does not pass such questions on";
    case ExtendedError::kProhibited:
      return "this resolver is for processes of jobs";
    case ExtendedError::kNoReachable:
    case ExtendedError::kNone:
      break;
  }
  return "no upstream resolver gave an answer";
}

void opt(Writer& out, const DnsAsk& ask, ExtendedError error) {
  if (!ask.has_edns) return;
  out.u8(0);
  out.u16(kTypeOpt);
  out.u16(kOurUdpBytes);
  // BADVERS (16): the version that we know is 0. Its upper bits are here, the lower are 0.
  out.u8(ask.edns_version == 0 ? 0 : 1);
  out.u8(0);
  out.u16(ask.wants_dnssec ? 0x8000 : 0);
  if (error == ExtendedError::kNone) {
    out.u16(0);
    return;
  }
  const std::string_view text = text_of(error);
  out.u16(static_cast<unsigned>(6 + text.size()));
  out.u16(kEdeOption);
  out.u16(static_cast<unsigned>(2 + text.size()));
  out.u16(static_cast<unsigned>(error));
  out.bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::optional<IpBytes> mapped(std::span<const std::uint8_t> raw) {
  IpBytes ip{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (raw.size() != 4 && raw.size() != 16) return std::nullopt;
  std::copy(raw.begin(), raw.end(), ip.end() - static_cast<std::ptrdiff_t>(raw.size()));
  return ip;
}

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// Writes one answer. Names are compressed against the question and the targets of aliases, which
// is all that owners of kept records can be.
class AnswerWriter {
 public:
  AnswerWriter(const DnsAsk& ask, const DnsAnswer& answer, std::uint32_t ttl_s,
               FunctionRef<bool(const IpBytes&)> is_inside, ReplyAddresses& addresses, Writer& out)
      : ask_(ask),
        answer_(answer),
        ttl_s_(ttl_s),
        is_inside_(is_inside),
        addresses_(addresses),
        out_(out) {}

  void write() {
    for (const DnsRecord& record : answer_.records) write_record(record);
    out_.patch_u16(6, answers_);
    out_.patch_u16(8, authorities_);
  }
  bool is_changed() const { return is_changed_; }

 private:
  void write_record(const DnsRecord& record) {
    const auto data = answer_.data(record);
    const bool is_address = record.type == kTypeA || record.type == kTypeAaaa;
    if (is_address && !record.is_authority && !take_address(data)) return;
    const std::size_t start = out_.size();
    write_owner(record);
    out_.u16(record.type);
    out_.u16(kClassIn);
    out_.u32(ttl_s_);
    const std::size_t length_at = out_.size();
    out_.u16(0);
    const std::size_t data_at = out_.size();
    if (!write_data(record, data)) {
      out_.cut_back(start);
      is_changed_ = true;
      return;
    }
    out_.patch_u16(length_at, out_.size() - data_at);
    if (record.type == kTypeCname && !record.is_authority && aliases_ < kMaxAnswerAliases) {
      alias_at_[aliases_++] = static_cast<std::uint16_t>(data_at);
    }
    ++(record.is_authority ? authorities_ : answers_);
  }

  void write_owner(const DnsRecord& record) {
    if (record.owner == DnsRecord::kOwnName) {
      const auto name = answer_.own_name(record);
      const auto asked = ask_.wire_name();
      if (is_suffix(name, asked)) {
        out_.u16(static_cast<unsigned>(0xc000 | (kDnsHeaderBytes + asked.size() - name.size())));
      } else {
        out_.bytes(name);
      }
      return;
    }
    const auto alias = static_cast<std::size_t>(record.owner);
    const std::size_t at = alias == 0 ? kDnsHeaderBytes : alias_at_[alias - 1];
    if (at < 0x4000) {
      out_.u16(static_cast<unsigned>(0xc000 | at));
    } else {
      out_.bytes(answer_.data(answer_.records[alias - 1]));
    }
  }

  // Whether `name` is the end of `asked`, label by label; letters of either case are the same.
  static bool is_suffix(std::span<const std::uint8_t> name, std::span<const std::uint8_t> asked) {
    std::size_t at = 0;
    while (asked.size() - at > name.size()) at += asked[at] + 1u;
    return asked.size() - at == name.size() &&
           std::equal(name.begin(), name.end(), asked.begin() + static_cast<std::ptrdiff_t>(at),
                      [](std::uint8_t a, std::uint8_t b) { return lower(a) == lower(b); });
  }
  static std::uint8_t lower(std::uint8_t c) {
    return static_cast<std::uint8_t>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }

  bool take_address(std::span<const std::uint8_t> raw) {
    const auto ip = mapped(raw);
    if (!ip || addresses_.count == addresses_.list.size()) {
      is_changed_ = true;
      return false;
    }
    if (is_inside_(*ip)) {
      ++addresses_.dropped;
      is_changed_ = true;
      return false;
    }
    addresses_.list[addresses_.count++] = *ip;
    return true;
  }

  bool write_data(const DnsRecord& record, std::span<const std::uint8_t> data) {
    if (record.type != kTypeSvcb && record.type != kTypeHttps) {
      out_.bytes(data);
      return true;
    }
    return write_service(record, data);
  }

  // Priority, target, parameters. Hints about another name are left out: the client will ask for
  // that name. So is a record whose parameters are not well-formed.
  bool write_service(const DnsRecord& record, std::span<const std::uint8_t> data) {
    std::size_t at = 2;
    while (at < data.size() && data[at] != 0) at += data[at] + 1u;
    if (++at > data.size()) return false;
    const auto target = data.subspan(2, at - 2);
    const bool is_final = target.size() == 1 || is_same_name(target, final_name(record));
    out_.bytes(data.first(at));
    auto rest = data.subspan(at);
    while (!rest.empty()) {
      if (rest.size() < 4) return false;
      const std::size_t size = 4u + u16_at(rest, 2);
      if (size > rest.size() || !write_parameter(rest.first(size), is_final)) return false;
      rest = rest.subspan(size);
    }
    return true;
  }

  std::span<const std::uint8_t> final_name(const DnsRecord& record) const {
    if (record.owner <= 0) return ask_.wire_name();
    return answer_.data(answer_.records[static_cast<std::size_t>(record.owner) - 1]);
  }
  static bool is_same_name(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
    return a.size() == b.size() && is_suffix(a, b);
  }

  bool write_parameter(std::span<const std::uint8_t> parameter, bool is_final) {
    const std::uint16_t key = u16_at(parameter, 0);
    if (key != kIpv4Hint && key != kIpv6Hint) {
      // A hint that is mandatory cannot be left out.
      if (key == kMandatory && names_a_hint(parameter.subspan(4))) return false;
      out_.bytes(parameter);
      return true;
    }
    const std::size_t each = key == kIpv4Hint ? 4 : 16;
    auto hints = parameter.subspan(4);
    if (hints.empty() || hints.size() % each != 0) return false;
    if (!is_final) {
      is_changed_ = true;
      return true;
    }
    const std::size_t start = out_.size();
    out_.u16(key);
    out_.u16(0);
    for (; !hints.empty(); hints = hints.subspan(each)) {
      if (take_address(hints.first(each))) out_.bytes(hints.first(each));
    }
    if (out_.size() == start + 4) {
      out_.cut_back(start);
    } else {
      out_.patch_u16(start + 2, out_.size() - start - 4);
    }
    return true;
  }

  static bool names_a_hint(std::span<const std::uint8_t> keys) {
    for (std::size_t i = 0; i + 1 < keys.size(); i += 2) {
      const std::uint16_t key = u16_at(keys, i);
      if (key == kIpv4Hint || key == kIpv6Hint) return true;
    }
    return false;
  }

  const DnsAsk& ask_;
  const DnsAnswer& answer_;
  std::uint32_t ttl_s_;
  FunctionRef<bool(const IpBytes&)> is_inside_;
  ReplyAddresses& addresses_;
  Writer& out_;
  std::array<std::uint16_t, kMaxAnswerAliases> alias_at_{};
  std::size_t aliases_ = 0;
  unsigned answers_ = 0;
  unsigned authorities_ = 0;
  bool is_changed_ = false;
};

}  // namespace

std::size_t write_code(const DnsAsk& ask, ReplyCode code, std::span<std::uint8_t> out) {
  Writer writer(out);
  header(writer, ask, {.rcode = code.rcode, .is_truncated = code.is_truncated}, true);
  opt(writer, ask, code.error);
  return writer.size();
}

std::size_t write_header(const DnsAsk& ask, std::uint8_t rcode, std::span<std::uint8_t> out) {
  Writer writer(out);
  header(writer, ask, {.rcode = rcode}, false);
  return writer.size();
}

std::size_t write_localhost(const DnsAsk& ask, std::span<std::uint8_t> out) {
  Writer writer(out);
  header(writer, ask, {}, true);
  if (ask.type == kTypeA || ask.type == kTypeAaaa) {
    const std::array<std::uint8_t, 16> v6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const std::array<std::uint8_t, 4> v4 = {127, 0, 0, 1};
    const auto ip = ask.type == kTypeA ? std::span<const std::uint8_t>(v4) : v6;
    writer.patch_u16(6, 1);
    writer.u16(0xc000 | kDnsHeaderBytes);
    writer.u16(ask.type);
    writer.u16(kClassIn);
    writer.u32(kMaxAnswerTtl_s);
    writer.u16(static_cast<unsigned>(ip.size()));
    writer.bytes(ip);
  }
  opt(writer, ask, ExtendedError::kNone);
  return writer.size();
}

std::size_t write_answer(const DnsAsk& ask, const DnsAnswer& answer, std::uint32_t ttl_s,
                         FunctionRef<bool(const IpBytes&)> is_inside, ReplyAddresses& addresses,
                         std::span<std::uint8_t> out) {
  addresses.count = addresses.dropped = 0;
  Writer writer(out);
  header(writer, ask, {.rcode = answer.rcode}, true);
  AnswerWriter records(ask, answer, ttl_s, is_inside, addresses, writer);
  records.write();
  // What was changed is not what somebody signed.
  const bool is_authentic =
      answer.is_authentic && !records.is_changed() && (ask.wants_authentic || ask.wants_dnssec);
  if (is_authentic && writer.has_fit()) out[3] |= 0x20;
  opt(writer, ask, addresses.dropped > 0 ? ExtendedError::kBlocked : ExtendedError::kNone);
  return writer.has_fit() ? writer.size() : 0;
}

std::size_t write_upstream_ask(const DnsAsk& ask, std::uint16_t id,
                               std::span<const std::uint8_t> name, std::span<std::uint8_t> out) {
  Writer writer(out);
  writer.u16(id);
  writer.u8(0x01);  // RD
  writer.u8((ask.wants_authentic ? 0x20u : 0u) | (ask.is_checking_off ? 0x10u : 0u));
  writer.u16(1);
  writer.u16(0);
  writer.u16(0);
  writer.u16(1);
  writer.bytes(name);
  writer.u16(ask.type);
  writer.u16(kClassIn);
  writer.u8(0);
  writer.u16(kTypeOpt);
  writer.u16(kUpstreamUdpBytes);
  writer.u16(0);
  writer.u16(ask.wants_dnssec ? 0x8000 : 0);
  writer.u16(0);
  return writer.size();
}

}  // namespace cicd
