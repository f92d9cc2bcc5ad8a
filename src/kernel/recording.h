// SPDX-License-Identifier: Apache-2.0
// A recording: the samples of a job as they came from the kernel, in a file. It is what
// `run --record` leaves, what the replay engine reads, and what `run` keeps as its journal, so that
// a sensor that was killed is continued by the next one without a loss.
//
// Format (docs/reference/recording.md): a header with magic, version, wire version, byte order,
// clock offset and kernel release; then blocks. A block is one poll of the rings: length, CRC-32,
// ring positions after it, samples. A block that is incomplete or does not match its CRC ends the
// recording there: everything before it is good.
//
// Threads: an object belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/event_source.h"

namespace cicd {

// Consumer positions of the two rings; where to go on after the block.
struct RingPositions {
  std::uint64_t control = 0;
  std::uint64_t bulk = 0;
};

struct RecordingInfo {
  ClockInfo clock;
  std::string kernel_release = {};  // uname -r
  std::uint32_t slot = 0;           // job slot that the recording is of
  std::uint64_t root_cgroup_id = 0;
  std::string job_name = {};
};

class RecordingWriter {
 public:
  // Writes the header. The file is made anew.
  static Result<RecordingWriter> create(const std::string& path, const RecordingInfo& info);
  // Goes on at the end of a recording that `RecordingReader` has read to `good_bytes`.
  static Result<RecordingWriter> resume(const std::string& path, std::uint64_t good_bytes);

  // Adds a sample to the block in memory; nothing is written before end_block.
  void append(SampleBytes sample);
  // Writes the block. An empty block writes nothing. When it cannot be written
  // (disk full) the file is cut back to end in a complete block, and the recording ends there:
  // this and every later call return the error, because a recording has no holes.
  Result<void> end_block(const RingPositions& positions);

  // Between two blocks: memory for them comes from there from now on.
  void share_memory(std::shared_ptr<BlockPool> pool) { parts_ = BlockList(std::move(pool)); }

  // Size of the file: all of it is complete blocks.
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  RecordingWriter();
  void put(std::span<const std::byte> bytes);
  void advance(std::size_t bytes);
  std::uint32_t crc_with(std::size_t place) const;
  std::span<const std::byte> part(std::size_t place) const;
  int write_parts() const;
  Result<void> write_block();
  std::string path_;
  UniqueFd fd_;
  // The block: its header, then prefix and bytes of each sample.
  BlockList parts_;
  std::size_t block_bytes_ = 0;
  std::uint32_t payload_crc_ = 0;  // of the parts that are full
  std::uint32_t block_samples_ = 0;
  bool is_block_too_big_ = false;
  std::optional<Error> failure_;
  std::uint64_t bytes_written_ = 0;
};

class RecordingReader {
 public:
  // Errors name the file, the offset and what was expected there.
  static Result<RecordingReader> open(const std::string& path);

  const RecordingInfo& info() const { return info_; }
  // The next block's samples, nullopt at a clean end. A damaged or cut block is an error
  // (kInvalidInput) at this and every later call; what was read before stays valid. Views die at
  // the next call. Memory is bounded by the size of the file.
  Result<std::optional<std::vector<SampleBytes>>> next_block();

  // Positions and file offset after the last good block.
  RingPositions positions() const { return positions_; }
  std::uint64_t good_bytes() const { return good_bytes_; }

 private:
  RecordingReader() = default;
  Result<void> read_info();
  Result<void> load_block(std::uint32_t& samples);
  Result<void> read_at_offset(std::span<std::byte> out, const char* what);
  std::unexpected<Error> damaged(std::uint64_t offset, const std::string& text) const;
  std::string path_;
  UniqueFd fd_;
  RecordingInfo info_;
  std::uint64_t offset_ = 0;      // of the next byte to read
  std::uint64_t file_bytes_ = 0;  // when the file was opened
  RingPositions positions_;
  std::uint64_t good_bytes_ = 0;
  std::vector<std::byte> block_;
};

}  // namespace cicd
