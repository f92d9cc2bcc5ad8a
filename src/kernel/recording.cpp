// SPDX-License-Identifier: Apache-2.0
// RecordingWriter; the reader is recording_reader.cpp.
#include "kernel/recording.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/recording_format.h"
#include "wire/sample.h"

namespace cicd {

namespace {

using namespace recording;

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

std::uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
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
  if (failure_) return;
  const std::size_t needed = sizeof(SamplePrefix) + padded(sample.size());
  if (sample.size() > kSampleBytesMax || block_.size() + needed > kBlockBytesMax) {
    is_block_too_big_ = true;  // end_block says it
    return;
  }
  if (block_.empty() && blocks_) block_ = blocks_->take().value_or(std::vector<std::byte>());
  const std::size_t start = block_.empty() ? sizeof(BlockHeader) : block_.size();
  block_.resize(start + needed);  // new bytes are zero: padding is, too
  const SamplePrefix prefix{static_cast<std::uint32_t>(sample.size()), 0};
  std::memcpy(block_.data() + start, &prefix, sizeof(prefix));
  if (!sample.empty()) {
    std::memcpy(block_.data() + start + sizeof(prefix), sample.data(), sample.size());
  }
  ++block_samples_;
}

Result<void> RecordingWriter::end_block(const RingPositions& positions) {
  if (!failure_ && is_block_too_big_) {
    failure_ = Error{
        ErrorCode::kResource, 0,
        "recording " + path_ + ": more than " + std::to_string(kBlockBytesMax) + " bytes at once",
        "the recording ends here; what it holds is complete"};
  }
  if (failure_) return std::unexpected(*failure_);
  if (block_.empty()) return {};
  BlockHeader header{};
  header.magic = kBlockMagic;
  header.kind = kBlockSamples;
  header.count = block_samples_;
  header.bytes = block_.size() - sizeof(header);
  header.control = positions.control;
  header.bulk = positions.bulk;
  std::memcpy(block_.data(), &header, sizeof(header));
  header.crc = crc_of(block_);
  std::memcpy(block_.data(), &header, sizeof(header));
  return write_block();
}

Result<void> RecordingWriter::write_block() {
  const int error = write_all(fd_.get(), block_);
  if (error == 0) {
    bytes_written_ += block_.size();
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
  block_.clear();
  if (blocks_) {
    std::vector<std::byte> memory = std::exchange(block_, {});
    const std::size_t bytes = memory.capacity();
    blocks_->give(std::move(memory), bytes);
  }
  block_samples_ = 0;
  if (failure_) return std::unexpected(*failure_);
  return {};
}

}  // namespace cicd
