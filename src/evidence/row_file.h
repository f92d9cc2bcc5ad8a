// SPDX-License-Identifier: Apache-2.0
// RowFile: a file of rows (JSONL) behind one buffer. Rows are appended to buffer() and written at
// flush() or when the buffer is full.
//
// The file always ends in a complete row: when a write fails or is short (disk full), the file is
// cut back to the last complete row, the rows that are not in it are counted, and the next flush
// tries again. Between a flush and the next row it has no buffer: files that are written now and
// then, those of the jobs of an agent, share a few. Threads: belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/pool.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "evidence/output_directory.h"

namespace cicd {

using RowBufferPool = Pool<std::string>;
inline constexpr std::size_t kRowBufferPoolBytes = std::size_t{4} << 20;

class RowFile {
 public:
  static constexpr std::size_t kFlushBytes = 256 * 1024;

  // Makes the file anew and finds out whether there is room to write at all.
  static Result<RowFile> create(const OutputDirectory& directory, const std::string& name,
                                std::shared_ptr<RowBufferPool> buffers =
                                    std::make_shared<RowBufferPool>(kRowBufferPoolBytes));

  // Where to append whole rows, each followed by row_added().
  std::string& buffer() {
    if (buffer_.capacity() < kFlushBytes) take_buffer();
    return buffer_;
  }
  void row_added() {
    ++buffered_rows_;
    if (buffer_.size() >= kFlushBytes) flush();
  }
  void flush();

  std::uint64_t rows_lost() const { return rows_lost_; }
  std::uint64_t bytes_written() const { return end_; }

 private:
  RowFile() = default;
  void take_buffer();

  UniqueFd fd_;
  std::shared_ptr<RowBufferPool> buffers_;
  std::string buffer_;
  std::uint64_t end_ = 0;  // of the last complete row in the file
  std::uint64_t buffered_rows_ = 0;
  std::uint64_t rows_lost_ = 0;
};

}  // namespace cicd
