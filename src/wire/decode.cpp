// SPDX-License-Identifier: Apache-2.0
#include "wire/decode.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>

#include "wire/loss.h"

namespace cicd {

namespace {

using Bytes = std::span<const std::byte>;

template <typename Fixed>
bool read_fixed(Bytes bytes, Fixed& fixed) {
  if (bytes.size() < sizeof(Fixed)) return false;
  std::memcpy(&fixed, bytes.data(), sizeof(Fixed));
  return true;
}

// Takes the strings of a sample one after the other from what follows its fixed part.
class StringReader {
 public:
  explicit StringReader(Bytes rest)
      : rest_(reinterpret_cast<const char*>(rest.data()), rest.size()) {}

  WireString take(const cicd_string& string, std::size_t limit) {
    if (string.length > limit || string.length > rest_.size()) {
      ok_ = false;
      return {};
    }
    const WireString out{rest_.substr(0, string.length), string.flags};
    rest_.remove_prefix(string.length);
    return out;
  }

  // True when every string was there and no byte is left.
  bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

using Decoded = std::expected<Sample, DecodeError>;

std::unexpected<DecodeError> error(DecodeError what) { return std::unexpected(what); }

// Samples without strings.
template <typename Typed>
Decoded decode_plain(Bytes bytes) {
  Typed typed;
  if (!read_fixed(bytes, typed.fixed)) return error(DecodeError::kTooShort);
  if (bytes.size() != sizeof(typed.fixed)) return error(DecodeError::kBadStrings);
  return typed;
}

// A string of a sample: where its length stands, where its view goes, and its longest.
template <typename Typed>
struct StringMember {
  cicd_string decltype(Typed::fixed)::* from;
  WireString Typed::* to;
  std::size_t limit;
};

// Samples with strings, in the order of `members`.
template <typename Typed>
Decoded decode_strings(Bytes bytes, std::initializer_list<StringMember<Typed>> members) {
  Typed typed;
  if (!read_fixed(bytes, typed.fixed)) return error(DecodeError::kTooShort);
  StringReader strings(bytes.subspan(sizeof(typed.fixed)));
  for (const StringMember<Typed>& member : members) {
    typed.*member.to = strings.take(typed.fixed.*member.from, member.limit);
  }
  if (!strings.complete()) return error(DecodeError::kBadStrings);
  return typed;
}

Decoded decode_exec(Bytes bytes) {
  using S = ExecSample;
  using F = cicd_sample_exec;
  return decode_strings<S>(bytes, {{&F::exec_path, &S::exec_path, CICD_PATH_MAX},
                                   {&F::filename, &S::filename, CICD_PATH_MAX},
                                   {&F::cwd, &S::cwd, CICD_PATH_MAX},
                                   {&F::argv, &S::argv, CICD_ARGV_MAX},
                                   {&F::environment, &S::environment, CICD_ENVIRONMENT_MAX}});
}

Decoded decode_cgroup(Bytes bytes) {
  using S = CgroupSample;
  return decode_strings<S>(bytes, {{&cicd_sample_cgroup::path, &S::path, CICD_CGROUP_PATH_MAX}});
}

bool is_ip_family(std::uint16_t family) { return family == AF_INET || family == AF_INET6; }

Decoded decode_connect(Bytes bytes) {
  Decoded decoded = decode_plain<ConnectSample>(bytes);
  if (!decoded) return decoded;
  const auto& fixed = std::get<ConnectSample>(*decoded).fixed;
  if (!is_ip_family(fixed.family)) return error(DecodeError::kBadValue);
  return decoded;
}

Decoded decode_egress(Bytes bytes) {
  EgressSample sample;
  if (!read_fixed(bytes, sample.fixed)) return error(DecodeError::kTooShort);
  const Bytes name = bytes.subspan(sizeof(sample.fixed));
  if (name.size() != sample.fixed.name_bytes) return error(DecodeError::kBadStrings);
  if (!is_ip_family(sample.fixed.family)) return error(DecodeError::kBadValue);
  sample.name = {reinterpret_cast<const char*>(name.data()), name.size()};
  return sample;
}

Decoded decode_open(Bytes bytes) {
  using S = OpenSample;
  using F = cicd_sample_open;
  return decode_strings<S>(
      bytes, {{&F::path, &S::path, CICD_PATH_MAX}, {&F::base, &S::base, CICD_PATH_MAX}});
}

Decoded decode_paths(Bytes bytes) {
  using S = PathsSample;
  using F = cicd_sample_paths;
  return decode_strings<S>(bytes, {{&F::path, &S::path, CICD_PATH_MAX},
                                   {&F::base, &S::base, CICD_PATH_MAX},
                                   {&F::other, &S::other, CICD_PATH_MAX},
                                   {&F::other_base, &S::other_base, CICD_PATH_MAX}});
}

Decoded decode_unix_connect(Bytes bytes) {
  using S = UnixConnectSample;
  using F = cicd_sample_unix_connect;
  return decode_strings<S>(
      bytes, {{&F::path, &S::path, CICD_NAME_MAX}, {&F::base, &S::base, CICD_PATH_MAX}});
}

Decoded decode_dns(Bytes bytes) {
  using S = DnsSample;
  Decoded decoded =
      decode_strings<S>(bytes, {{&cicd_sample_dns::payload, &S::payload, CICD_DNS_PAYLOAD_MAX}});
  if (decoded && !is_ip_family(std::get<S>(*decoded).fixed.family)) {
    return error(DecodeError::kBadValue);
  }
  return decoded;
}

Decoded decode_getaddrinfo(Bytes bytes) {
  using S = GetaddrinfoSample;
  Decoded decoded =
      decode_strings<S>(bytes, {{&cicd_sample_getaddrinfo::name, &S::name, CICD_NAME_MAX}});
  if (!decoded) return decoded;
  const auto& fixed = std::get<S>(*decoded).fixed;
  const std::size_t held = std::min<std::size_t>(fixed.address_count, CICD_ADDRESSES_MAX);
  for (std::size_t i = 0; i < held; ++i) {
    if (!is_ip_family(fixed.addresses[i].family)) return error(DecodeError::kBadValue);
  }
  return decoded;
}

Decoded decode_http(Bytes bytes) {
  using S = HttpSample;
  using F = cicd_sample_http;
  return decode_strings<S>(bytes, {{&F::method, &S::method, CICD_NAME_MAX},
                                   {&F::path, &S::path, CICD_URL_PATH_MAX},
                                   {&F::host, &S::host, CICD_NAME_MAX}});
}

Decoded decode_library(Bytes bytes) {
  using S = LibrarySample;
  return decode_strings<S>(bytes, {{&cicd_sample_library::path, &S::path, CICD_PATH_MAX}});
}

Decoded decode_target(Bytes bytes) {
  using S = TargetSample;
  return decode_strings<S>(
      bytes, {{&cicd_sample_target::target_exec_path, &S::target_exec_path, CICD_PATH_MAX}});
}

Decoded decode_module(Bytes bytes) {
  using S = ModuleSample;
  return decode_strings<S>(bytes, {{&cicd_sample_module::name, &S::name, CICD_PATH_MAX}});
}

Decoded decode_io_uring(Bytes bytes) {
  using S = IoUringSample;
  using F = cicd_sample_io_uring;
  Decoded decoded = decode_strings<S>(
      bytes, {{&F::path, &S::path, CICD_PATH_MAX}, {&F::base, &S::base, CICD_PATH_MAX}});
  if (!decoded) return decoded;
  const std::uint16_t family = std::get<S>(*decoded).fixed.family;
  if (family != 0 && !is_ip_family(family)) return error(DecodeError::kBadValue);
  return decoded;
}

}  // namespace

std::string_view name_of(DecodeError what) {
  switch (what) {
    case DecodeError::kTooShort:
      return "shorter than its fixed part";
    case DecodeError::kSizeMismatch:
      return "its size is not the number of its bytes";
    case DecodeError::kUnknownType:
      return "of a type this version does not know";
    case DecodeError::kBadStrings:
      return "lengths of its strings do not add up";
    case DecodeError::kBadValue:
      return "a number in it is out of range";
  }
  return "malformed";
}

namespace {

constexpr auto kSampleTypeNames = [] {
  std::array<std::string_view, CICD_SAMPLE_TYPES> names;
  names.fill("sample");
  names[CICD_SAMPLE_FORK] = "process_fork";
  names[CICD_SAMPLE_EXEC] = "process_exec";
  names[CICD_SAMPLE_EXIT] = "process_exit";
  names[CICD_SAMPLE_CGROUP_MKDIR] = "cgroup_mkdir";
  names[CICD_SAMPLE_CGROUP_RMDIR] = "cgroup_rmdir";
  names[CICD_SAMPLE_CGROUP_ATTACH] = "cgroup_attach";
  names[CICD_SAMPLE_CONNECT] = "network_connect";
  names[CICD_SAMPLE_OPEN] = "file_open";
  names[CICD_SAMPLE_REMOVE] = "file_remove";
  names[CICD_SAMPLE_MOVE] = "file_move";
  names[CICD_SAMPLE_LINK] = "file_link";
  names[CICD_SAMPLE_MOUNT] = "mount";
  names[CICD_SAMPLE_UNIX_CONNECT] = "unix_socket_connect";
  names[CICD_SAMPLE_DNS] = "domain";
  names[CICD_SAMPLE_GETADDRINFO] = "getaddrinfo";
  names[CICD_SAMPLE_HTTP] = "http_request";
  names[CICD_SAMPLE_LIBRARY] = "library";
  names[CICD_SAMPLE_PTRACE] = "ptrace";
  names[CICD_SAMPLE_MEMORY] = "memory_read";
  names[CICD_SAMPLE_SIGNAL] = "signal";
  names[CICD_SAMPLE_PRIVILEGE] = "privilege_change";
  names[CICD_SAMPLE_NAMESPACE] = "namespace_change";
  names[CICD_SAMPLE_MODULE] = "module_load";
  names[CICD_SAMPLE_BPF] = "bpf_use";
  names[CICD_SAMPLE_IO_URING] = "io_uring_op";
  names[CICD_SAMPLE_EXEC_MEMORY] = "exec_memory";
  names[CICD_SAMPLE_EGRESS] = "egress_violation";
  names[CICD_SAMPLE_SOCKET] = "socket_create";
  return names;
}();

}  // namespace

std::string_view name_of_sample_type(std::uint32_t type) {
  return type < kSampleTypeNames.size() ? kSampleTypeNames[type] : kSampleTypeNames[0];
}

std::optional<cicd_sample_header> peek_header(Bytes bytes) {
  cicd_sample_header header;
  if (!read_fixed(bytes, header)) return std::nullopt;
  return header;
}

namespace {

using Decoder = Decoded (*)(Bytes bytes);

constexpr auto kDecoders = [] {
  std::array<Decoder, CICD_SAMPLE_TYPES> by_type{};
  by_type[CICD_SAMPLE_FORK] = decode_plain<ForkSample>;
  by_type[CICD_SAMPLE_EXEC] = decode_exec;
  by_type[CICD_SAMPLE_EXIT] = decode_plain<ExitSample>;
  by_type[CICD_SAMPLE_CGROUP_MKDIR] = decode_cgroup;
  by_type[CICD_SAMPLE_CGROUP_RMDIR] = decode_cgroup;
  by_type[CICD_SAMPLE_CGROUP_ATTACH] = decode_cgroup;
  by_type[CICD_SAMPLE_CONNECT] = decode_connect;
  by_type[CICD_SAMPLE_OPEN] = decode_open;
  by_type[CICD_SAMPLE_REMOVE] = decode_paths;
  by_type[CICD_SAMPLE_MOVE] = decode_paths;
  by_type[CICD_SAMPLE_LINK] = decode_paths;
  by_type[CICD_SAMPLE_MOUNT] = decode_paths;
  by_type[CICD_SAMPLE_UNIX_CONNECT] = decode_unix_connect;
  by_type[CICD_SAMPLE_DNS] = decode_dns;
  by_type[CICD_SAMPLE_GETADDRINFO] = decode_getaddrinfo;
  by_type[CICD_SAMPLE_HTTP] = decode_http;
  by_type[CICD_SAMPLE_LIBRARY] = decode_library;
  by_type[CICD_SAMPLE_PTRACE] = decode_target;
  by_type[CICD_SAMPLE_MEMORY] = decode_target;
  by_type[CICD_SAMPLE_SIGNAL] = decode_target;
  by_type[CICD_SAMPLE_PRIVILEGE] = decode_plain<PrivilegeSample>;
  by_type[CICD_SAMPLE_NAMESPACE] = decode_plain<NamespaceSample>;
  by_type[CICD_SAMPLE_MODULE] = decode_module;
  by_type[CICD_SAMPLE_BPF] = decode_plain<BpfSample>;
  by_type[CICD_SAMPLE_IO_URING] = decode_io_uring;
  by_type[CICD_SAMPLE_EXEC_MEMORY] = decode_plain<ExecMemorySample>;
  by_type[CICD_SAMPLE_EGRESS] = decode_egress;
  by_type[CICD_SAMPLE_SOCKET] = decode_plain<SocketSample>;
  return by_type;
}();

}  // namespace

Decoded decode(Bytes bytes) {
  const std::optional<cicd_sample_header> header = peek_header(bytes);
  if (!header) return error(DecodeError::kTooShort);
  if (header->size != bytes.size()) return error(DecodeError::kSizeMismatch);
  if (header->slot == 0 || header->slot >= CICD_SLOTS_MAX) return error(DecodeError::kBadValue);
  if (header->type >= kDecoders.size() || kDecoders[header->type] == nullptr) {
    return error(DecodeError::kUnknownType);
  }
  return kDecoders[header->type](bytes);
}

}  // namespace cicd
