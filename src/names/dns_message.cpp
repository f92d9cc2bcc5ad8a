// SPDX-License-Identifier: Apache-2.0
#include "names/dns_message.h"

#include <algorithm>
#include <charconv>

namespace cicd {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint8_t kPointer = 0xc0;
constexpr std::size_t kMaxLabel = 63;
// Resolver libraries follow pointers forwards too, so those count as well; what ends a loop is the
// number of jumps. More than labels fit into a name are never needed.
constexpr int kMaxJumps = 126;
// Labels and pointers read of one message: names that are all jumps must not cost us milliseconds.
constexpr int kMaxSteps = 16'384;
constexpr std::uint16_t kIpv4Hint = 4;
constexpr std::uint16_t kIpv6Hint = 6;

std::uint8_t lower(std::uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte + 32) : byte;
}

// A domain name on the wire: goes over its labels, follows pointers.
class Labels {
 public:
  // `steps` is what is left for the whole message.
  Labels(Bytes message, std::size_t offset, int& steps)
      : message_(message), at_(offset), steps_(steps) {}

  // The next label; empty at the end of the name and after a mistake.
  Bytes next() {
    for (;;) {
      if (--steps_ < 0) return fail(DnsError::kTooMany);
      if (at_ >= message_.size()) return fail(DnsError::kCut);
      const std::uint8_t length = message_[at_];
      if ((length & kPointer) == kPointer) {
        if (!jump()) return {};
        continue;
      }
      if (length > kMaxLabel) return fail(DnsError::kBadName);
      if (length == 0) {
        set_end(at_ + 1);
        return {};
      }
      if (at_ + 1 + length > message_.size()) return fail(DnsError::kCut);
      total_ += length + 1u;
      if (total_ + 1 > kMaxDnsNameBytes) return fail(DnsError::kBadName);
      const Bytes label = message_.subspan(at_ + 1, length);
      at_ += length + 1u;
      return label;
    }
  }

  DnsError error() const { return error_; }
  // What follows the name where it stands; valid once next() came to the end.
  std::size_t end() const { return end_; }

 private:
  Bytes fail(DnsError what) {
    error_ = what;
    return {};
  }
  void set_end(std::size_t end) {
    if (end_ == 0) end_ = end;
  }
  bool jump() {
    if (at_ + 2 > message_.size()) {
      error_ = DnsError::kCut;
      return false;
    }
    const std::size_t target = ((message_[at_] & 0x3fu) << 8) | message_[at_ + 1];
    set_end(at_ + 2);
    if (++jumps_ > kMaxJumps) {
      error_ = DnsError::kBadName;
      return false;
    }
    at_ = target;
    return true;
  }

  Bytes message_;
  std::size_t at_;
  int& steps_;
  std::size_t end_ = 0;
  std::size_t total_ = 0;
  int jumps_ = 0;
  DnsError error_ = DnsError::kNone;
};

bool same_name(Labels left, Labels right) {
  for (;;) {
    const Bytes x = left.next();
    const Bytes y = right.next();
    if (left.error() != DnsError::kNone || right.error() != DnsError::kNone) return false;
    if (!std::ranges::equal(x, y, {}, lower, lower)) return false;
    if (x.empty()) return true;
  }
}

class TextWriter {
 public:
  explicit TextWriter(DnsName& out) : out_(out) { out_.length = 0; }

  void label(Bytes label) {
    if (out_.length > 0) put('.');
    for (const std::uint8_t byte : label) {
      if (byte == '.' || byte == '\\') {
        put('\\');
        put(static_cast<char>(byte));
      } else if (byte > ' ' && byte < 0x7f) {
        put(static_cast<char>(lower(byte)));
      } else {
        put('\\');
        put(static_cast<char>('0' + byte / 100));
        put(static_cast<char>('0' + byte / 10 % 10));
        put(static_cast<char>('0' + byte % 10));
      }
    }
  }
  void finish() {
    if (out_.length == 0) put('.');
  }

 private:
  // 255 bytes on the wire are less than kMaxDnsNameText as text; the check is for the reader.
  void put(char c) {
    if (out_.length < out_.text.size()) out_.text[out_.length++] = c;
  }
  DnsName& out_;
};

struct Record {
  std::size_t owner = 0;  // offset of its name
  std::uint16_t type = 0;
  std::uint32_t ttl_s = 0;
  std::size_t data = 0;  // offset
  std::size_t data_bytes = 0;
};

class Parser {
 public:
  Parser(Bytes message, DnsMessage& out) : message_(message), out_(out) {}

  DnsError run() {
    if (message_.size() < kHeaderBytes) return DnsError::kNoHeader;
    read_header();
    at_ = kHeaderBytes;
    if (!read_questions()) return error_;
    if (out_.is_response && out_.question_count > 0) read_answers();
    return error_;
  }

 private:
  std::uint16_t u16(std::size_t at) const {
    return static_cast<std::uint16_t>(message_[at] << 8 | message_[at + 1]);
  }
  bool fail(DnsError what) {
    if (error_ == DnsError::kNone) error_ = what;
    return false;
  }

  void read_header() {
    out_.id = u16(0);
    out_.is_response = (message_[2] & 0x80) != 0;
    out_.opcode = (message_[2] >> 3) & 0x0f;
    out_.is_truncated = (message_[2] & 0x02) != 0;
    out_.rcode = message_[3] & 0x0f;
  }

  Labels name_at(std::size_t offset) { return {message_, offset, steps_}; }
  bool same(std::size_t a, std::size_t b) { return a == b || same_name(name_at(a), name_at(b)); }

  // Where the name at `offset` ends; false when it is none.
  bool skip_name(std::size_t offset, std::size_t& end) {
    Labels labels = name_at(offset);
    while (!labels.next().empty()) {
    }
    end = labels.end();
    return labels.error() == DnsError::kNone || fail(labels.error());
  }

  bool read_name(std::size_t offset, DnsName& out, std::size_t& end) {
    TextWriter writer(out);
    Labels labels = name_at(offset);
    for (Bytes label = labels.next(); !label.empty(); label = labels.next()) writer.label(label);
    writer.finish();
    end = labels.end();
    return labels.error() == DnsError::kNone || fail(labels.error());
  }

  bool read_questions() {
    const std::uint16_t count = u16(4);
    for (std::uint16_t i = 0; i < count; ++i) {
      if (i == kMaxDnsQuestions) return fail(DnsError::kTooMany);
      DnsQuestion& question = out_.question_list[i];
      if (i == 0) question_ = at_;
      if (!read_name(at_, question.text, at_)) return false;
      if (at_ + 4 > message_.size()) return fail(DnsError::kCut);
      question.type = u16(at_);
      at_ += 4;
      ++out_.question_count;
    }
    return true;
  }

  // Both passes end at the same record: what the first one cannot read, the second does not try.
  void read_answers() {
    const std::size_t begin = at_;
    chain_[0] = question_;
    chain_length_ = 1;
    chain_ttl_s_ = UINT32_MAX;
    each_answer(begin, [this](const Record& record) { collect_alias(record); });
    follow_aliases();
    each_answer(begin, [this](const Record& record) { read_data(record); });
  }

  template <typename Visit>
  void each_answer(std::size_t begin, Visit visit) {
    at_ = begin;
    const std::size_t count = std::min<std::size_t>(u16(6), kMaxDnsAnswerRecords);
    if (count < u16(6)) fail(DnsError::kTooMany);
    for (std::size_t i = 0; i < count; ++i) {
      Record record;
      if (!read_record(record)) return;
      if (u16(record.data - 8) == kClassInternet) visit(record);
    }
  }

  bool read_record(Record& record) {
    record.owner = at_;
    std::size_t at = 0;
    if (!skip_name(at_, at)) return false;
    if (at + 10 > message_.size()) return fail(DnsError::kCut);
    record.type = u16(at);
    record.ttl_s = std::uint32_t{u16(at + 4)} << 16 | u16(at + 6);
    record.data_bytes = u16(at + 8);
    record.data = at + 10;
    if (record.data + record.data_bytes > message_.size()) return fail(DnsError::kCut);
    at_ = record.data + record.data_bytes;
    return true;
  }

  void collect_alias(const Record& record) {
    if (record.type != kDnsCname) return;
    std::size_t end = 0;
    if (!skip_name(record.data, end)) return;
    if (alias_count_ < aliases_.size()) {
      aliases_[alias_count_++] = record;
    } else {
      fail(DnsError::kTooMany);
    }
  }

  // From the question along the aliases, whatever order they stand in.
  void follow_aliases() {
    for (std::size_t round = 0; round < alias_count_; ++round) {
      const std::span<const Record> aliases(aliases_.data(), alias_count_);
      const auto next = std::ranges::find_if(aliases, [this](const Record& alias) {
        return same(alias.owner, chain_[chain_length_ - 1]);
      });
      if (next == aliases.end()) break;
      chain_[chain_length_++] = next->data;
      chain_ttl_s_ = std::min(chain_ttl_s_, next->ttl_s);
    }
    out_.alias_count = static_cast<std::uint8_t>(chain_length_ - 1);
    std::size_t end = 0;
    if (chain_length_ > 1) read_name(chain_[chain_length_ - 1], out_.alias, end);
  }

  bool is_of_question(const Record& record) {
    const std::span<const std::size_t> chain(chain_.data(), chain_length_);
    return std::ranges::any_of(chain, [&](std::size_t name) { return same(record.owner, name); });
  }

  void read_data(const Record& record) {
    const bool is_service = record.type == kDnsHttps || record.type == kDnsSvcb;
    if (record.type != kDnsA && record.type != kDnsAaaa && !is_service) return;
    if (!is_of_question(record)) return;
    if (is_service) {
      read_service(record);
      return;
    }
    const std::size_t wanted = record.type == kDnsA ? 4 : 16;
    if (record.data_bytes != wanted) {
      fail(DnsError::kBadRecord);
      return;
    }
    add_address(message_.subspan(record.data, wanted), record, false);
  }

  // RFC 9460 2.2: priority, target, then parameters as key, length, value.
  void read_service(const Record& record) {
    const std::size_t end = record.data + record.data_bytes;
    std::size_t at = 0;
    if (record.data_bytes < 3 || !skip_name(record.data + 2, at) || at > end) {
      fail(DnsError::kBadRecord);
      return;
    }
    while (at + 4 <= end) {
      const std::uint16_t key = u16(at);
      const std::size_t length = u16(at + 2);
      at += 4;
      if (length > end - at) break;
      if (!read_hints(key, message_.subspan(at, length), record)) break;
      at += length;
    }
    if (at != end) fail(DnsError::kBadRecord);
  }

  bool read_hints(std::uint16_t key, Bytes value, const Record& record) {
    if (key != kIpv4Hint && key != kIpv6Hint) return true;
    const std::size_t each = key == kIpv4Hint ? 4 : 16;
    if (value.empty() || value.size() % each != 0) return fail(DnsError::kBadRecord);
    for (std::size_t at = 0; at < value.size(); at += each) {
      add_address(value.subspan(at, each), record, true);
    }
    return true;
  }

  void add_address(Bytes raw, const Record& record, bool is_hint) {
    const std::optional<IpAddress> address = IpAddress::from(raw);
    if (!address) return;
    if (out_.address_count == kMaxDnsAddresses) {
      fail(DnsError::kTooMany);
      return;
    }
    out_.address_list[out_.address_count++] = {*address, std::min(record.ttl_s, chain_ttl_s_),
                                               is_hint};
  }

  Bytes message_;
  DnsMessage& out_;
  int steps_ = kMaxSteps;
  std::size_t at_ = 0;
  std::size_t question_ = 0;
  std::array<Record, kMaxDnsChain> aliases_;
  std::size_t alias_count_ = 0;
  std::array<std::size_t, kMaxDnsChain + 1> chain_;  // offsets of names
  std::size_t chain_length_ = 0;
  std::uint32_t chain_ttl_s_ = 0;
  DnsError error_ = DnsError::kNone;
};

struct TypeName {
  std::uint16_t type;
  std::string_view name;
};
// What a job may ask for; a tunnel likes TXT, NULL, CNAME and MX.
constexpr TypeName kTypes[] = {
    {1, "A"},      {2, "NS"},      {5, "CNAME"}, {6, "SOA"},   {10, "NULL"},  {12, "PTR"},
    {15, "MX"},    {16, "TXT"},    {28, "AAAA"}, {33, "SRV"},  {35, "NAPTR"}, {43, "DS"},
    {46, "RRSIG"}, {48, "DNSKEY"}, {52, "TLSA"}, {64, "SVCB"}, {65, "HTTPS"}, {251, "IXFR"},
    {252, "AXFR"}, {255, "ANY"},   {257, "CAA"}};
constexpr std::string_view kRcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};

std::string_view numbered(std::string_view prefix, unsigned number, std::span<char, 12> buffer) {
  prefix.copy(buffer.data(), prefix.size());
  const char* end =
      std::to_chars(buffer.data() + prefix.size(), buffer.data() + buffer.size(), number).ptr;
  return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

}  // namespace

void parse_dns(std::span<const std::uint8_t> bytes, DnsMessage& out) {
  out.id = 0;
  out.is_response = out.is_truncated = false;
  out.opcode = out.rcode = 0;
  out.question_count = out.address_count = out.alias_count = 0;
  out.error = Parser(bytes, out).run();
}

std::string_view dns_type_text(std::uint16_t type, std::span<char, 12> buffer) {
  const auto* found = std::ranges::find(kTypes, type, &TypeName::type);
  return found != std::end(kTypes) ? found->name : numbered("TYPE", type, buffer);
}

std::string_view dns_rcode_text(std::uint8_t rcode, std::span<char, 12> buffer) {
  return rcode < std::size(kRcodes) ? kRcodes[rcode] : numbered("RCODE", rcode, buffer);
}

}  // namespace cicd
