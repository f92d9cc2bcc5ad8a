// SPDX-License-Identifier: Apache-2.0
// A file of a test, removed with the object; bytes in, bytes out.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/unique_fd.h"

namespace cicd {

class TemporaryFile {
 public:
  TemporaryFile() : path_(::testing::TempDir() + "cicd-recording-XXXXXX") {
    const UniqueFd fd(::mkstemp(path_.data()));
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }
  std::string read() const {
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const std::string& bytes) const {
    // A new file: ext4 waits for the disk when one that was emptied is written and closed.
    ::unlink(path_.c_str());
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  void truncate(std::uint64_t size) const {
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(size)), 0);
  }

 private:
  std::string path_;
};

}  // namespace cicd
