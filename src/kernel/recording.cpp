// SPDX-License-Identifier: Apache-2.0
// RecordingWriter; the reader is recording_reader.cpp.
#include "kernel/recording.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/recording_format.h"
#include "wire/sample.h"

namespace cicd {

namespace {

using namespace recording;

constexpr std::size_t kPartBytes = BlockPool::kBlockBytes;
static_assert(kPartBytes >= sizeof(BlockHeader), "the header of a block is in one part");
// What a writer without company keeps for its next block.
constexpr std::size_t kOwnBytes = std::size_t{8} << 20;
constexpr std::size_t kPartsAtOnce = 64;
constexpr BlockHeader kNoHeader{};

// Writes all of it; a signal or a short write goes on where it stopped.
int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (written == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

std::uint32_t crc_of(std::span<const std::byte> bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(
      ::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Result<UniqueFd> open_for_writing(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | flags, 0600));
  if (!fd) {
    auto error = fail_errno(errno, "recording " + path + ": cannot open for writing");
    error.error().hint = "give --record a file in a directory that exists and can be written";
    return error;
  }
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "recording " + path);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kUsage, "recording " + path + ": not a regular file",
                "a recording is cut back when the disk is full; write it to a file, not to a "
                "pipe or device");
  }
  return fd;
}

Result<FileHeader> make_header(const std::string& path, const RecordingInfo& info) {
  if (info.job_name.size() > kJobNameMax || info.kernel_release.size() > kKernelReleaseMax) {
    return fail(ErrorCode::kUsage,
                "recording " + path + ": the job's name is longer than " +
                    std::to_string(kJobNameMax) + " bytes",
                "use a shorter --name");
  }
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.byte_order = kByteOrder;
  header.version = kRecordingVersion;
  header.wire_version = CICD_WIRE_VERSION;
  header.slot = info.slot;
  header.realtime_offset_ns = info.clock.realtime_offset_ns;
  header.root_cgroup_id = info.root_cgroup_id;
  header.kernel_release_bytes = static_cast<std::uint32_t>(info.kernel_release.size());
  header.job_name_bytes = static_cast<std::uint32_t>(info.job_name.size());
  info.kernel_release.copy(header.kernel_release, kKernelReleaseMax);
  info.job_name.copy(header.job_name, kJobNameMax);
  header.crc = crc_of(std::as_bytes(std::span(&header, 1)));
  return header;
}

}  // namespace

RecordingWriter::RecordingWriter() : parts_(std::make_shared<BlockPool>(kOwnBytes)) {}

Result<RecordingWriter> RecordingWriter::create(const std::string& path,
                                                const RecordingInfo& info) {
  CICD_ASSIGN(const FileHeader header, make_header(path, info));
  RecordingWriter writer;
  writer.path_ = path;
  // Emptied only once it is known to be a regular file.
  CICD_ASSIGN(writer.fd_, open_for_writing(path, O_CREAT));
  if (::ftruncate(writer.fd_.get(), 0) != 0) return fail_errno(errno, "recording " + path);
  if (const int error = write_all(writer.fd_.get(), std::as_bytes(std::span(&header, 1)))) {
    return fail_errno(error, "recording " + path + ": cannot write its header");
  }
  writer.bytes_written_ = sizeof(header);
  return writer;
}

Result<RecordingWriter> RecordingWriter::resume(const std::string& path, std::uint64_t good_bytes) {
  RecordingWriter writer;
  writer.path_ = path;
  CICD_ASSIGN(writer.fd_, open_for_writing(path, 0));
  struct stat status{};
  if (::fstat(writer.fd_.get(), &status) != 0) return fail_errno(errno, "recording " + path);
  if (good_bytes < sizeof(FileHeader) || static_cast<std::uint64_t>(status.st_size) < good_bytes) {
    return fail(ErrorCode::kInvalidInput,
                "recording " + path + ": cannot go on at offset " + std::to_string(good_bytes) +
                    ", the file has " + std::to_string(status.st_size) + " bytes",
                "the file was changed since it was read; start a new recording");
  }
  const auto end = static_cast<off_t>(good_bytes);
  if (::ftruncate(writer.fd_.get(), end) != 0 || ::lseek(writer.fd_.get(), end, SEEK_SET) != end) {
    return fail_errno(errno, "recording " + path + ": cannot cut the damaged end off");
  }
  writer.bytes_written_ = good_bytes;
  return writer;
}

void RecordingWriter::append(SampleBytes sample) {
  constexpr std::byte kPadding[8] = {};
  if (failure_) return;
  const std::size_t needed = sizeof(SamplePrefix) + padded(sample.size());
  if (sample.size() > kSampleBytesMax || block_bytes_ + needed > kBlockBytesMax) {
    is_block_too_big_ = true;  // end_block says it
    return;
  }
  // Its header is written when the rest is known.
  if (block_bytes_ == 0) put(std::as_bytes(std::span(&kNoHeader, 1)));
  const SamplePrefix prefix{static_cast<std::uint32_t>(sample.size()), 0};
  ++block_samples_;
  const std::size_t at = block_bytes_ % kPartBytes;
  if (at != 0 && at + needed <= kPartBytes) {
    std::byte* to = parts_.back() + at;
    std::memset(to + needed - sizeof(kPadding), 0, sizeof(kPadding));
    std::memcpy(to, &prefix, sizeof(prefix));
    if (!sample.empty()) std::memcpy(to + sizeof(prefix), sample.data(), sample.size());
    return advance(needed);
  }
  put(std::as_bytes(std::span(&prefix, 1)));
  put(sample);
  put(std::span(kPadding).first(padded(sample.size()) - sample.size()));
}

void RecordingWriter::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (block_bytes_ == parts_.size() * kPartBytes) parts_.add();
    const std::size_t at = block_bytes_ % kPartBytes;
    const std::size_t count = std::min(bytes.size(), kPartBytes - at);
    std::memcpy(parts_.back() + at, bytes.data(), count);
    advance(count);
    bytes = bytes.subspan(count);
  }
}

// A part that is full is still in the caches.
void RecordingWriter::advance(std::size_t bytes) {
  block_bytes_ += bytes;
  if (block_bytes_ % kPartBytes == 0) payload_crc_ = crc_with(parts_.size() - 1);
}

// Of the payload up to the end of this part, when that of the parts before it is known.
std::uint32_t RecordingWriter::crc_with(std::size_t place) const {
  return crc_of(part(place).subspan(place == 0 ? sizeof(BlockHeader) : 0), payload_crc_);
}

std::span<const std::byte> RecordingWriter::part(std::size_t place) const {
  return {parts_[place], std::min(kPartBytes, block_bytes_ - place * kPartBytes)};
}

Result<void> RecordingWriter::end_block(const RingPositions& positions) {
  if (!failure_ && is_block_too_big_) {
    failure_ = Error{
        ErrorCode::kResource, 0,
        "recording " + path_ + ": more than " + std::to_string(kBlockBytesMax) + " bytes at once",
        "the recording ends here; what it holds is complete"};
  }
  if (failure_) return std::unexpected(*failure_);
  if (block_bytes_ == 0) return {};
  BlockHeader header{};
  header.magic = kBlockMagic;
  header.kind = kBlockSamples;
  header.count = block_samples_;
  header.bytes = block_bytes_ - sizeof(header);
  header.control = positions.control;
  header.bulk = positions.bulk;
  if (block_bytes_ % kPartBytes != 0) payload_crc_ = crc_with(parts_.size() - 1);
  header.crc =
      static_cast<std::uint32_t>(::crc32_combine(crc_of(std::as_bytes(std::span(&header, 1))),
                                                 payload_crc_, static_cast<z_off_t>(header.bytes)));
  std::memcpy(parts_[0], &header, sizeof(header));
  return write_block();
}

// Writes all of it; a signal or a short write goes on where it stopped.
int RecordingWriter::write_parts() const {
  std::size_t done = 0;
  while (done < block_bytes_) {
    std::array<iovec, kPartsAtOnce> pieces;
    std::size_t count = 0;
    for (std::size_t at = done; at < block_bytes_ && count < kPartsAtOnce; ++count) {
      const auto rest = part(at / kPartBytes).subspan(at % kPartBytes);
      pieces[count] = {const_cast<std::byte*>(rest.data()), rest.size()};
      at += rest.size();
    }
    const ssize_t written = ::writev(fd_.get(), pieces.data(), static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    done += static_cast<std::size_t>(written);
  }
  return 0;
}

Result<void> RecordingWriter::write_block() {
  const int error = write_parts();
  if (error == 0) {
    bytes_written_ += block_bytes_;
  } else {
    failure_ = fail_errno(error, "recording " + path_ + ": cannot write at offset " +
                                     std::to_string(bytes_written_))
                   .error();
    failure_->hint = "the recording ends here; what it holds is complete";
    // Should this fail too, the reader finds the incomplete block and stops before it.
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes_written_)) != 0) {
      failure_->text += " (and the incomplete block could not be cut off)";
    }
  }
  parts_.clear();
  block_bytes_ = 0;
  payload_crc_ = 0;
  block_samples_ = 0;
  if (failure_) return std::unexpected(*failure_);
  return {};
}

}  // namespace cicd
