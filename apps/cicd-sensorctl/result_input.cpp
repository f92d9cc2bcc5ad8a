// SPDX-License-Identifier: Apache-2.0
#include "result_input.h"

#include <unistd.h>

#include <cerrno>

#include "report/result_reader.h"

namespace cicd::ctl {

Result<std::string> read_standard_input() {
  if (::isatty(STDIN_FILENO) == 1) {
    return fail(ErrorCode::kUsage, "a result document is read from standard input",
                "cicd-sensor project result ... | cicd-sensorctl report ...");
  }
  std::string text;
  char buffer[65536];
  while (text.size() <= kMaxResultDocumentBytes) {
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size == 0) break;
    if (size < 0 && errno != EINTR) return fail_errno(errno, "read standard input");
    if (size > 0) text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

}  // namespace cicd::ctl
