// SPDX-License-Identifier: Apache-2.0
#include "wire/decode.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "wire/loss.h"
#include "wire/sample_builder.h"

namespace cicd {
namespace {

struct Named {
  const char* name;
  SampleBuffer bytes;
};

std::vector<Named> one_of_each() {
  const Actor actor{.pid = 7,
                    .tid = 8,
                    .start_time_ns = 9,
                    .exec_id = 10,
                    .slot = 11,
                    .cgroup_id = 12,
                    .time_ns = 13};
  const CgroupParts cgroup{.target_cgroup_id = 99, .from_cgroup_id = 98, .path = "/a/b"};
  return {
      {"fork", fork_sample(actor, {.pid = 5}, 1000)},
      {"exec",
       exec_sample(
           actor,
           {.exec_path = "/usr/bin/env", .filename = "env", .cwd = "/a", .argv = {"env", "x"}})},
      {"exit", exit_sample(actor, 0x100)},
      {"mkdir", cgroup_sample(actor, CICD_SAMPLE_CGROUP_MKDIR, cgroup)},
      {"rmdir", cgroup_sample(actor, CICD_SAMPLE_CGROUP_RMDIR, cgroup)},
      {"attach", cgroup_sample(actor, CICD_SAMPLE_CGROUP_ATTACH, cgroup)},
      {"connect", connect_sample(actor, {})},
      {"open", open_sample(actor, {.path = raw("x"), .base = walked("/b"), .error = ENOENT})},
      {"remove", make_sample(actor, CICD_SAMPLE_REMOVE, cicd_sample_paths{},
                             {raw("x"), walked("/b"), raw(""), raw("")})},
      {"unix", make_sample(actor, CICD_SAMPLE_UNIX_CONNECT, cicd_sample_unix_connect{},
                           {raw("s"), walked("/run")})},
      {"dns",
       make_sample(actor, CICD_SAMPLE_DNS, cicd_sample_dns{.family = AF_INET}, {raw("payload")})},
      {"getaddrinfo",
       make_sample(actor, CICD_SAMPLE_GETADDRINFO, cicd_sample_getaddrinfo{}, {raw("a.example")})},
      {"http", make_sample(actor, CICD_SAMPLE_HTTP, cicd_sample_http{},
                           {raw("GET"), raw("/"), raw("a.example")})},
      {"library",
       make_sample(actor, CICD_SAMPLE_LIBRARY, cicd_sample_library{}, {walked("/lib/libc.so.6")})},
      {"ptrace",
       make_sample(actor, CICD_SAMPLE_PTRACE, cicd_sample_target{.value = 16}, {walked("/bin/a")})},
      {"privilege", make_sample(actor, CICD_SAMPLE_PRIVILEGE, cicd_sample_privilege{})},
      {"namespace", make_sample(actor, CICD_SAMPLE_NAMESPACE, cicd_sample_namespace{})},
      {"module", make_sample(actor, CICD_SAMPLE_MODULE, cicd_sample_module{}, {raw("nbd")})},
      {"bpf", make_sample(actor, CICD_SAMPLE_BPF, cicd_sample_bpf{})},
      {"socket", make_sample(actor, CICD_SAMPLE_SOCKET, cicd_sample_socket{})},
      {"io_uring",
       make_sample(actor, CICD_SAMPLE_IO_URING, cicd_sample_io_uring{}, {raw("x"), walked("/b")})},
      {"exec_memory", make_sample(actor, CICD_SAMPLE_EXEC_MEMORY, cicd_sample_exec_memory{})},
      {"egress", make_sample(actor, CICD_SAMPLE_EGRESS, cicd_sample_egress{.family = 2})},
      {"egress of the resolver", egress_sample(actor, {.family = 2}, "a.test")},
  };
}

// Bytes that end where the allocation ends, so that AddressSanitizer sees a read beyond them.
std::expected<Sample, DecodeError> decode_exact(const SampleBuffer& bytes) {
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  auto sample = decode({exact.get(), bytes.size()});
  if (!sample) return std::unexpected(sample.error());
  return decode(bytes);
}

template <typename T>
void patch(SampleBuffer& bytes, std::size_t offset, T value) {
  ASSERT_LE(offset + sizeof(T), bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

TEST(Decode, HeaderOfEveryType) {
  for (const Named& sample : one_of_each()) {
    SCOPED_TRACE(sample.name);
    const auto decoded = decode_exact(sample.bytes);
    ASSERT_TRUE(decoded) << name_of(decoded.error());
    const cicd_sample_header& header = header_of(*decoded);
    EXPECT_EQ(header.size, sample.bytes.size());
    EXPECT_EQ(header.pid, 7u);
    EXPECT_EQ(header.tid, 8u);
    EXPECT_EQ(header.start_time_ns, 9u);
    EXPECT_EQ(header.exec_id, 10u);
    EXPECT_EQ(header.slot, 11u);
    EXPECT_EQ(header.cgroup_id, 12u);
    EXPECT_EQ(header.time_ns, 13u);
  }
}

TEST(Decode, StringsInTheOrderOfTheMembers) {
  const SampleBuffer bytes =
      exec_sample({}, {},
                  {walked("/usr/bin/sh", CICD_STRING_DELETED), raw("f"), raw(""),
                   arguments({"a", ""}), arguments({"N=v"}, CICD_STRING_TRUNCATED)});
  const auto decoded = decode_exact(bytes);
  ASSERT_TRUE(decoded);
  const auto& exec = std::get<ExecSample>(*decoded);
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(exec.exec_path.bytes, "sh\0bin\0usr\0"sv);
  EXPECT_EQ(exec.exec_path.flags, std::uint32_t{CICD_STRING_COMPONENTS | CICD_STRING_DELETED});
  EXPECT_EQ(exec.filename.bytes, "f");
  EXPECT_EQ(exec.cwd.bytes, "");
  EXPECT_EQ(exec.argv.bytes, "a\0\0"sv);
  EXPECT_EQ(exec.environment.bytes, "N=v\0"sv);
  EXPECT_TRUE(exec.environment.has(CICD_STRING_TRUNCATED));
}

TEST(Decode, BytesNeedNoAlignment) {
  const SampleBuffer bytes = exec_sample({}, {});
  SampleBuffer shifted(1);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  EXPECT_TRUE(decode(std::span(shifted).subspan(1)));
}

TEST(Decode, EveryShorterSampleIsRefused) {
  for (const Named& sample : one_of_each()) {
    SCOPED_TRACE(sample.name);
    for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
      SampleBuffer cut(sample.bytes.begin(), sample.bytes.begin() + static_cast<long>(size));
      EXPECT_FALSE(decode_exact(cut));
      // Also when the header agrees with the cut.
      if (size >= 4) patch(cut, 0, static_cast<std::uint32_t>(size));
      EXPECT_FALSE(decode_exact(cut)) << size;
    }
  }
}

TEST(Decode, EveryLongerSampleIsRefused) {
  for (Named& sample : one_of_each()) {
    SCOPED_TRACE(sample.name);
    sample.bytes.push_back(std::byte{0});
    auto decoded = decode_exact(sample.bytes);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error(), DecodeError::kSizeMismatch);
    patch(sample.bytes, 0, static_cast<std::uint32_t>(sample.bytes.size()));
    decoded = decode_exact(sample.bytes);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error(), DecodeError::kBadStrings);
  }
}

TEST(Decode, LengthsThatDoNotAddUp) {
  SampleBuffer bytes = open_sample({}, {.path = raw("abcd"), .base = walked("/base")});
  const std::size_t path_length = offsetof(cicd_sample_open, path);
  for (const std::uint32_t length : {0u, 3u, 5u, 100u, 0x7fffffffu, 0xffffffffu}) {
    patch(bytes, path_length, length);
    const auto decoded = decode_exact(bytes);
    ASSERT_FALSE(decoded) << length;
    EXPECT_EQ(decoded.error(), DecodeError::kBadStrings);
  }
  // Two that overflow 32 bits to the right sum.
  patch(bytes, path_length, 0xfffffffeu);
  patch(bytes, offsetof(cicd_sample_open, base), 0xbu);
  EXPECT_FALSE(decode_exact(bytes));
}

TEST(Decode, StringsAboveTheirLimits) {
  const auto open_of = [](std::size_t size) {
    return open_sample({}, {.path = raw(std::string(size, 'x'))});
  };
  EXPECT_TRUE(decode_exact(open_of(CICD_PATH_MAX)));
  EXPECT_FALSE(decode_exact(open_of(CICD_PATH_MAX + 1)));
  const auto exec_of = [](std::size_t size) {
    return exec_sample({}, {}, {walked("/x"), raw("x"), walked("/"), raw(std::string(size, 'x'))});
  };
  EXPECT_TRUE(decode_exact(exec_of(CICD_ARGV_MAX)));
  EXPECT_FALSE(decode_exact(exec_of(CICD_ARGV_MAX + 1)));
  const auto mkdir_of = [](std::size_t size) {
    return cgroup_sample({}, CICD_SAMPLE_CGROUP_MKDIR, {.path = std::string(size, 'x')});
  };
  EXPECT_TRUE(decode_exact(mkdir_of(CICD_CGROUP_PATH_MAX)));
  EXPECT_FALSE(decode_exact(mkdir_of(CICD_CGROUP_PATH_MAX + 1)));
}

TEST(Decode, UnknownTypesSaySo) {
  for (const std::uint16_t type : std::initializer_list<std::uint16_t>{0, 30, 31, 32, 65535}) {
    SampleBuffer bytes = exit_sample({});
    patch(bytes, offsetof(cicd_sample_header, type), type);
    const auto decoded = decode_exact(bytes);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error(), DecodeError::kUnknownType) << type;
  }
}

TEST(Decode, SlotsAndFamiliesOutOfRange) {
  for (const std::uint32_t slot : {0u, std::uint32_t{CICD_SLOTS_MAX}, 0xffffffffu}) {
    SampleBuffer bytes = exit_sample({});
    patch(bytes, offsetof(cicd_sample_header, slot), slot);
    const auto decoded = decode_exact(bytes);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error(), DecodeError::kBadValue);
  }
  for (const std::uint16_t family : std::initializer_list<std::uint16_t>{0, AF_UNIX, 65535}) {
    SampleBuffer bytes = connect_sample({}, {});
    patch(bytes, offsetof(cicd_sample_connect, family), family);
    EXPECT_FALSE(decode_exact(bytes)) << family;
  }
}

TEST(Decode, NamesAreThoseOfLossCounters) {
  EXPECT_EQ(name_of_sample_type(CICD_SAMPLE_OPEN), "file_open");
  EXPECT_EQ(name_of_sample_type(CICD_SAMPLE_EXEC), "process_exec");
  EXPECT_EQ(name_of_sample_type(77), "sample");
}

TEST(SampleBuilder, WalkedPathIsFromTheLeafUp) {
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(walked("/usr/bin").bytes, "bin\0usr\0"sv);
  EXPECT_EQ(walked("/").bytes, "");
  EXPECT_EQ(walked("/").flags, std::uint32_t{CICD_STRING_COMPONENTS});
}

}  // namespace
}  // namespace cicd
