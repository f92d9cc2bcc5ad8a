// SPDX-License-Identifier: Apache-2.0
#include "wire/decode.h"

#include <sys/socket.h>

#include <cstring>

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

Decoded decode_exec(Bytes bytes) {
  ExecSample typed;
  if (!read_fixed(bytes, typed.fixed)) return error(DecodeError::kTooShort);
  StringReader strings(bytes.subspan(sizeof(typed.fixed)));
  typed.exec_path = strings.take(typed.fixed.exec_path, CICD_PATH_MAX);
  typed.filename = strings.take(typed.fixed.filename, CICD_PATH_MAX);
  typed.cwd = strings.take(typed.fixed.cwd, CICD_PATH_MAX);
  typed.argv = strings.take(typed.fixed.argv, CICD_ARGV_MAX);
  if (!strings.complete()) return error(DecodeError::kBadStrings);
  return typed;
}

Decoded decode_cgroup(Bytes bytes) {
  CgroupSample typed;
  if (!read_fixed(bytes, typed.fixed)) return error(DecodeError::kTooShort);
  StringReader strings(bytes.subspan(sizeof(typed.fixed)));
  typed.path = strings.take(typed.fixed.path, CICD_CGROUP_PATH_MAX);
  if (!strings.complete()) return error(DecodeError::kBadStrings);
  return typed;
}

Decoded decode_connect(Bytes bytes) {
  Decoded decoded = decode_plain<ConnectSample>(bytes);
  if (!decoded) return decoded;
  const std::uint16_t family = std::get<ConnectSample>(*decoded).fixed.family;
  if (family != AF_INET && family != AF_INET6) return error(DecodeError::kBadValue);
  return decoded;
}

Decoded decode_open(Bytes bytes) {
  OpenSample typed;
  if (!read_fixed(bytes, typed.fixed)) return error(DecodeError::kTooShort);
  StringReader strings(bytes.subspan(sizeof(typed.fixed)));
  typed.path = strings.take(typed.fixed.path, CICD_PATH_MAX);
  typed.base = strings.take(typed.fixed.base, CICD_PATH_MAX);
  if (!strings.complete()) return error(DecodeError::kBadStrings);
  return typed;
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

std::string_view name_of_sample_type(std::uint32_t type) {
  switch (type) {
    case CICD_SAMPLE_FORK:
      return "process_fork";
    case CICD_SAMPLE_EXEC:
      return "process_exec";
    case CICD_SAMPLE_EXIT:
      return "process_exit";
    case CICD_SAMPLE_CGROUP_MKDIR:
      return "cgroup_mkdir";
    case CICD_SAMPLE_CGROUP_RMDIR:
      return "cgroup_rmdir";
    case CICD_SAMPLE_CGROUP_ATTACH:
      return "cgroup_attach";
    case CICD_SAMPLE_CONNECT:
      return "network_connect";
    case CICD_SAMPLE_OPEN:
      return "file_open";
    default:
      return "sample";
  }
}

std::optional<cicd_sample_header> peek_header(Bytes bytes) {
  cicd_sample_header header;
  if (!read_fixed(bytes, header)) return std::nullopt;
  return header;
}

Decoded decode(Bytes bytes) {
  const std::optional<cicd_sample_header> header = peek_header(bytes);
  if (!header) return error(DecodeError::kTooShort);
  if (header->size != bytes.size()) return error(DecodeError::kSizeMismatch);
  if (header->slot == 0 || header->slot >= CICD_SLOTS_MAX) return error(DecodeError::kBadValue);
  switch (header->type) {
    case CICD_SAMPLE_FORK:
      return decode_plain<ForkSample>(bytes);
    case CICD_SAMPLE_EXEC:
      return decode_exec(bytes);
    case CICD_SAMPLE_EXIT:
      return decode_plain<ExitSample>(bytes);
    case CICD_SAMPLE_CGROUP_MKDIR:
    case CICD_SAMPLE_CGROUP_RMDIR:
    case CICD_SAMPLE_CGROUP_ATTACH:
      return decode_cgroup(bytes);
    case CICD_SAMPLE_CONNECT:
      return decode_connect(bytes);
    case CICD_SAMPLE_OPEN:
      return decode_open(bytes);
    default:
      return error(DecodeError::kUnknownType);
  }
}

}  // namespace cicd
