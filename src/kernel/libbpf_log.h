// SPDX-License-Identifier: Apache-2.0
// LibbpfLog: while one lives, what libbpf says on this thread is kept in it instead of going to
// stderr; the last lines end up in the text of an error. libbpf is silent otherwise.
// Threads: belongs to the thread that made it; one at a time.
#pragma once

#include <string>

namespace cicd {

class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  void append(const char* text, std::size_t bytes);
  // " (a; b; c)" of the last lines that say something, or empty.
  std::string last_lines() const;

 private:
  std::string text_;
};

}  // namespace cicd
