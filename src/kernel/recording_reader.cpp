// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/recording.h"
#include "kernel/recording_format.h"
#include "wire/sample.h"

namespace cicd {

namespace {

using namespace recording;

std::uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Splits a payload into its samples; false when prefixes and bytes do not add up.
bool split(std::span<const std::byte> payload, std::uint32_t count,
           std::vector<SampleBytes>& samples) {
  // A sample takes eight bytes at least, so `count` cannot ask for more memory than the file has.
  if (count > payload.size() / sizeof(SamplePrefix)) return false;
  samples.reserve(count);
  while (!payload.empty()) {
    SamplePrefix prefix;
    if (payload.size() < sizeof(prefix)) return false;
    std::memcpy(&prefix, payload.data(), sizeof(prefix));
    payload = payload.subspan(sizeof(prefix));
    if (prefix.bytes > kSampleBytesMax || padded(prefix.bytes) > payload.size()) return false;
    samples.push_back(payload.first(prefix.bytes));
    payload = payload.subspan(padded(prefix.bytes));
  }
  return samples.size() == count;
}

}  // namespace

std::unexpected<Error> RecordingReader::damaged(std::uint64_t offset,
                                                const std::string& text) const {
  std::string hint = "the file is damaged or was cut short";
  if (good_bytes_ > sizeof(FileHeader)) {
    hint += "; everything before offset " + std::to_string(good_bytes_) + " is good";
  }
  return fail(ErrorCode::kInvalidInput,
              "recording " + path_ + ": offset " + std::to_string(offset) + ": " + text,
              std::move(hint));
}

Result<void> RecordingReader::read_at_offset(std::span<std::byte> out, const char* what) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset_ + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "recording " + path_ + ": cannot read");
    if (got == 0) {
      return damaged(offset_, std::string("expected ") + what + " of " +
                                  std::to_string(out.size()) + " bytes, found " +
                                  std::to_string(done));
    }
    done += static_cast<std::size_t>(got);
  }
  offset_ += done;
  return {};
}

Result<void> RecordingReader::read_info() {
  FileHeader header;
  CICD_TRY(read_at_offset(std::as_writable_bytes(std::span(&header, 1)), "a file header"));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return fail(ErrorCode::kInvalidInput, "recording " + path_ + ": offset 0: not a recording",
                "recordings are made by `cicd-sensor run --record FILE`");
  }
  if (header.byte_order == kByteOrderSwapped) {
    return fail(ErrorCode::kUnsupported,
                "recording " + path_ + ": made on a machine of the other byte order",
                "replay it on a machine of the kind it was made on");
  }
  if (header.version != kRecordingVersion || header.wire_version != CICD_WIRE_VERSION) {
    return fail(ErrorCode::kUnsupported,
                "recording " + path_ + ": format " + std::to_string(header.version) +
                    ", wire version " + std::to_string(header.wire_version) +
                    "; this program reads format " + std::to_string(kRecordingVersion) +
                    ", wire version " + std::to_string(CICD_WIRE_VERSION),
                "replay it with the version of cicd-sensor that made it");
  }
  const std::uint32_t crc = header.crc;
  header.crc = 0;
  if (crc_of(std::as_bytes(std::span(&header, 1))) != crc) {
    return damaged(0, "the file header does not match its CRC-32");
  }
  if (header.byte_order != kByteOrder || header.kernel_release_bytes > kKernelReleaseMax ||
      header.job_name_bytes > kJobNameMax) {
    return damaged(0, "the file header has a length out of range");
  }
  info_.clock.realtime_offset_ns = header.realtime_offset_ns;
  info_.kernel_release.assign(header.kernel_release, header.kernel_release_bytes);
  info_.job_name.assign(header.job_name, header.job_name_bytes);
  info_.slot = header.slot;
  info_.root_cgroup_id = header.root_cgroup_id;
  return {};
}

Result<RecordingReader> RecordingReader::open(const std::string& path) {
  RecordingReader reader;
  reader.path_ = path;
  reader.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!reader.fd_) return fail_errno(errno, "recording " + path);
  struct stat status{};
  if (::fstat(reader.fd_.get(), &status) != 0) return fail_errno(errno, "recording " + path);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kInvalidInput, "recording " + path + ": not a regular file",
                "recordings are made by `cicd-sensor run --record FILE`");
  }
  reader.file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  CICD_TRY(reader.read_info());
  reader.good_bytes_ = reader.offset_;
  return reader;
}

Result<void> RecordingReader::load_block(std::uint32_t& samples) {
  const std::uint64_t start = offset_;
  BlockHeader header;
  CICD_TRY(read_at_offset(std::as_writable_bytes(std::span(&header, 1)), "a block header"));
  if (header.magic != kBlockMagic) return damaged(start, "expected the start of a block");
  if (header.kind != kBlockSamples) {
    return damaged(start, "a block of unknown kind " + std::to_string(header.kind));
  }
  if (header.bytes > kBlockBytesMax ||
      header.bytes > file_bytes_ - std::min(file_bytes_, offset_)) {
    return damaged(start, "the block has " + std::to_string(header.bytes) +
                              " bytes by its header, the file has " +
                              std::to_string(file_bytes_ - std::min(file_bytes_, offset_)) +
                              " left");
  }
  const std::uint32_t crc = header.crc;
  header.crc = 0;
  block_.resize(sizeof(header) + header.bytes);
  std::memcpy(block_.data(), &header, sizeof(header));
  CICD_TRY(read_at_offset(std::span(block_).subspan(sizeof(header)), "a block"));
  if (crc_of(block_) != crc) return damaged(start, "the block does not match its CRC-32");
  samples = header.count;
  positions_ = {header.control, header.bulk};
  return {};
}

Result<std::optional<std::vector<SampleBytes>>> RecordingReader::next_block() {
  // A file that still grows (a journal) is read as far as it goes now.
  if (offset_ >= file_bytes_) {
    struct stat status{};
    if (::fstat(fd_.get(), &status) == 0) file_bytes_ = static_cast<std::uint64_t>(status.st_size);
    if (offset_ >= file_bytes_) return std::nullopt;
  }
  const std::uint64_t start = offset_;
  const RingPositions before = positions_;
  std::uint32_t count = 0;
  std::vector<SampleBytes> samples;
  Result<void> loaded = load_block(count);
  if (loaded && !split(std::span(block_).subspan(sizeof(BlockHeader)), count, samples)) {
    loaded = damaged(start, "lengths of the samples in the block do not add up");
  }
  if (!loaded) {
    offset_ = start;  // the next call finds the same
    positions_ = before;
    return std::unexpected(std::move(loaded).error());
  }
  good_bytes_ = offset_;
  return samples;
}

}  // namespace cicd
