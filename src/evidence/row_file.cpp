// SPDX-License-Identifier: Apache-2.0
#include "evidence/row_file.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace cicd {

namespace {

// A buffer that one huge row has blown up is given back.
constexpr std::size_t kMaxKeptBytes = 4 * RowFile::kFlushBytes;
// Of a new buffer: what is full, and one more row.
constexpr std::size_t kBufferBytes = RowFile::kFlushBytes + 16 * 1024;

}  // namespace

Result<RowFile> RowFile::create(const OutputDirectory& directory, const std::string& name,
                                std::shared_ptr<RowBufferPool> buffers) {
  RowFile file;
  file.buffers_ = std::move(buffers);
  CICD_ASSIGN(file.fd_, directory.create(name));
  // A full disk lets an empty file be made; only bytes show it.
  const std::string probe(4096, '\n');
  std::size_t written = 0;
  const int sys_errno = write_all(file.fd_.get(), probe, 0, written);
  if (::ftruncate(file.fd_.get(), 0) != 0 || sys_errno != 0) {
    auto error =
        fail_errno(sys_errno != 0 ? sys_errno : errno, "write " + directory.path() + "/" + name)
            .error();
    error.code = ErrorCode::kResource;
    return std::unexpected(
        std::move(error).with_hint("free some space, or name another directory with --output"));
  }
  return file;
}

void RowFile::take_buffer() {
  if (auto buffer = buffers_->take()) {
    buffer_ = std::move(*buffer);
  } else {
    buffer_.reserve(kBufferBytes);
  }
}

void RowFile::flush() {
  if (buffer_.empty()) return;
  std::size_t written = 0;
  if (write_all(fd_.get(), buffer_, end_, written) == 0) {
    end_ += written;
  } else {
    const std::string_view in_file(buffer_.data(), written);
    const std::size_t last = in_file.rfind('\n');
    const std::size_t whole = last == std::string_view::npos ? 0 : last + 1;
    const auto rows = static_cast<std::uint64_t>(
        std::count(in_file.begin(), in_file.begin() + static_cast<std::ptrdiff_t>(whole), '\n'));
    end_ += whole;
    rows_lost_ += buffered_rows_ - rows;
    // Needs no room. Should it fail all the same, the next write starts at end_ and covers it.
    [[maybe_unused]] const int failed = ::ftruncate(fd_.get(), static_cast<off_t>(end_));
  }
  buffer_.clear();
  buffered_rows_ = 0;
  std::string buffer = std::exchange(buffer_, {});
  const std::size_t bytes = buffer.capacity();
  if (bytes <= kMaxKeptBytes) buffers_->give(std::move(buffer), bytes);
}

}  // namespace cicd
