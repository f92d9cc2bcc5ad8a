// SPDX-License-Identifier: Apache-2.0
// decode(): bytes of one sample -> typed Sample (bpf/wire/sample.h has the format). Nothing in the
// bytes is trusted: sizes must be right to the byte, lengths of strings must add up and keep their
// limits, numbers that select something must be known.
//
// Pure functions, any thread; nothing is allocated. Lifetime: fixed parts are copied (the bytes
// need no alignment); strings are views into the bytes and die with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "wire/sample.h"

namespace cicd {

// A string of a sample and how its bytes are to be read (enum cicd_string_flags).
struct WireString {
  std::string_view bytes;
  std::uint32_t flags = 0;

  bool has(std::uint32_t flag) const { return (flags & flag) != 0; }
};

struct ForkSample {
  cicd_sample_fork fixed;
};
struct ExecSample {
  cicd_sample_exec fixed;
  WireString exec_path;
  WireString filename;
  WireString cwd;
  WireString argv;
  WireString environment;
};
struct ExitSample {
  cicd_sample_exit fixed;
};
// mkdir, rmdir and attach; header.type says which.
struct CgroupSample {
  cicd_sample_cgroup fixed;
  WireString path;
};
struct ConnectSample {
  cicd_sample_connect fixed;
};
struct OpenSample {
  cicd_sample_open fixed;
  WireString path;
  WireString base;
};
// remove, move, link and mount; header.type says which.
struct PathsSample {
  cicd_sample_paths fixed;
  WireString path;
  WireString base;
  WireString other;
  WireString other_base;
};
struct UnixConnectSample {
  cicd_sample_unix_connect fixed;
  WireString path;
  WireString base;
};
struct DnsSample {
  cicd_sample_dns fixed;
  WireString payload;
};
struct GetaddrinfoSample {
  cicd_sample_getaddrinfo fixed;
  WireString name;
};
struct HttpSample {
  cicd_sample_http fixed;
  WireString method;
  WireString path;
  WireString host;
};
struct LibrarySample {
  cicd_sample_library fixed;
  WireString path;
};
// ptrace, memory and signal; header.type says which.
struct TargetSample {
  cicd_sample_target fixed;
  WireString target_exec_path;
};
struct PrivilegeSample {
  cicd_sample_privilege fixed;
};
struct NamespaceSample {
  cicd_sample_namespace fixed;
};
struct ModuleSample {
  cicd_sample_module fixed;
  WireString name;
};
struct BpfSample {
  cicd_sample_bpf fixed;
};
struct SocketSample {
  cicd_sample_socket fixed;
};
struct IoUringSample {
  cicd_sample_io_uring fixed;
  WireString path;
  WireString base;
};
struct EgressSample {
  cicd_sample_egress fixed;
  std::string_view name;
};
struct ExecMemorySample {
  cicd_sample_exec_memory fixed;
};
using Sample =
    std::variant<ForkSample, ExecSample, ExitSample, CgroupSample, ConnectSample, OpenSample,
                 PathsSample, UnixConnectSample, DnsSample, GetaddrinfoSample, HttpSample,
                 LibrarySample, TargetSample, PrivilegeSample, NamespaceSample, ModuleSample,
                 BpfSample, IoUringSample, ExecMemorySample, EgressSample, SocketSample>;

enum class DecodeError : std::uint8_t {
  kTooShort,      // fewer bytes than the header or the fixed part of the type
  kSizeMismatch,  // header.size is not the number of bytes
  kUnknownType,   // a type this version does not know: the writer was newer
  kBadStrings,    // lengths do not add up or are above their limits
  kBadValue,      // slot, pid, address family, ... outside their range
};
std::string_view name_of(DecodeError error);

// The header alone, of bytes that hold one; its values are as unchecked as the rest.
std::optional<cicd_sample_header> peek_header(std::span<const std::byte> bytes);

std::expected<Sample, DecodeError> decode(std::span<const std::byte> bytes);

inline const cicd_sample_header& header_of(const Sample& sample) {
  return std::visit(
      [](const auto& typed) -> const cicd_sample_header& { return typed.fixed.header; }, sample);
}

// Name of a sample type for messages and loss counters: "process_exec"; "sample" when unknown.
std::string_view name_of_sample_type(std::uint32_t type);

}  // namespace cicd
