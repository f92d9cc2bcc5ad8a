// SPDX-License-Identifier: Apache-2.0
// The bytes of a recording, shared by its writer and reader; docs/reference/recording.md says what
// they mean. A change here is a new kRecordingVersion.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cicd::recording {

inline constexpr char kMagic[8] = {'C', 'I', 'C', 'D', 'R', 'E', 'C', '\n'};
inline constexpr std::uint32_t kByteOrder =
    0x01020304;  // reads otherwise on the other kind of host
inline constexpr std::uint32_t kByteOrderSwapped = 0x04030201;
inline constexpr std::uint32_t kRecordingVersion = 1;
inline constexpr std::uint32_t kBlockMagic = 0x4B4C4243;  // "CBLK"

inline constexpr std::size_t kKernelReleaseMax = 256;
inline constexpr std::size_t kJobNameMax = 2048;
// Limits of a reader; a writer keeps them too. The rings together are smaller than a block may be.
inline constexpr std::size_t kSampleBytesMax = 64 * 1024;
inline constexpr std::size_t kBlockBytesMax = 512 * 1024 * 1024;

// One page at the start of the file.
struct FileHeader {
  char magic[8];
  std::uint32_t byte_order;
  std::uint32_t version;
  std::uint32_t wire_version;
  std::uint32_t slot;
  std::int64_t realtime_offset_ns;
  std::uint64_t root_cgroup_id;
  std::uint32_t kernel_release_bytes;
  std::uint32_t job_name_bytes;
  std::uint32_t crc;  // CRC-32 of the page with this member zero
  std::uint32_t pad0;
  char kernel_release[kKernelReleaseMax];
  char job_name[kJobNameMax];
  char reserved[4096 - 56 - kKernelReleaseMax - kJobNameMax];
};
static_assert(sizeof(FileHeader) == 4096, "recording: file header");

enum BlockKind : std::uint32_t {
  kBlockSamples = 1,
};

struct BlockHeader {
  std::uint32_t magic;
  std::uint32_t crc;      // CRC-32 of this header with this member zero, then of the payload
  std::uint32_t kind;     // BlockKind
  std::uint32_t count;    // samples in the payload
  std::uint64_t bytes;    // of the payload
  std::uint64_t control;  // consumer positions of the rings after this block
  std::uint64_t bulk;
};
static_assert(sizeof(BlockHeader) == 40, "recording: block header");

// Before each sample of a payload. A sample is padded with zeros to a multiple of 8 bytes.
struct SamplePrefix {
  std::uint32_t bytes;  // of the sample, without padding
  std::uint32_t pad0;
};
static_assert(sizeof(SamplePrefix) == 8, "recording: sample prefix");

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

}  // namespace cicd::recording
