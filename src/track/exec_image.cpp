// SPDX-License-Identifier: Apache-2.0
#include "track/exec_image.h"

#include <algorithm>

#include "event/event_record.h"
#include "track/path_text.h"

namespace cicd {

namespace {

// Arguments are each ended by a NUL; the last one is not when it was cut.
std::vector<std::string> split_argv(std::string_view bytes) {
  std::vector<std::string> argv;
  argv.reserve(static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\0')) + 1);
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\0');
    argv.emplace_back(bytes.substr(0, end));
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
  }
  return argv;
}

// The script as the caller named it, from where the caller stood.
std::string script_path_of(const ExecSample& sample, Arena& scratch) {
  WireString cwd = sample.cwd;
  cwd.flags &= ~static_cast<std::uint32_t>(CICD_STRING_DELETED);
  return std::string(
      join_path(path_text(cwd, 0, scratch).text, raw_text(sample.filename), scratch));
}

}  // namespace

MadeImage make_image(const ExecSample& sample, Arena& scratch) {
  auto image = std::make_shared<ExecImage>();
  const PathText exec_path = path_text(sample.exec_path, sample.fixed.inode, scratch);
  MadeImage made{nullptr, exec_path.marks};
  image->exec_path = exec_path.text;
  image->exec_path_truncated = sample.exec_path.has(CICD_STRING_TRUNCATED);
  image->cwd = path_text(sample.cwd, 0, scratch).text;
  image->argv = split_argv(sample.argv.bytes);
  image->argv_truncated = sample.argv.has(CICD_STRING_TRUNCATED | CICD_STRING_FAULT);
  if (image->argv_truncated) made.marks |= kMarkTruncatedArgv;
  image->is_memfd =
      (sample.fixed.header.flags & CICD_EXEC_MEMFD) != 0 || sample.exec_path.has(CICD_STRING_MEMFD);
  if ((sample.fixed.header.flags & CICD_EXEC_SCRIPT) != 0) {
    image->script_path = script_path_of(sample, scratch);
  }
  made.image = std::move(image);
  return made;
}

std::shared_ptr<const ExecImage> make_image(const ProcFacts& facts) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = facts.exec_path;
  image->cwd = facts.cwd;
  image->argv = facts.argv;
  image->argv_truncated = facts.argv_truncated;
  image->is_memfd = facts.exec_path.starts_with("/memfd:");
  image->is_known = false;
  return image;
}

}  // namespace cicd
