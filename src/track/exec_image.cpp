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

// argv[0], and not too much of it: all that is kept when the budget is spent.
constexpr std::size_t kShortArgvBytes = 256;

void shorten(ExecImage& image) {
  std::string first = image.argv.empty() ? std::string{} : image.argv[0].substr(0, kShortArgvBytes);
  image.argv = {};
  image.argv.push_back(std::move(first));
  image.argv_truncated = true;
  image.cwd = {};
}

std::shared_ptr<const ExecImage> publish(std::unique_ptr<ExecImage> image,
                                         const ImageBudget& budget) {
  const std::size_t bytes = weight_of(*image);
  budget.used_bytes->fetch_add(bytes, std::memory_order_relaxed);
  return {image.release(), [used = budget.used_bytes, bytes](const ExecImage* gone) {
            delete gone;
            used->fetch_sub(bytes, std::memory_order_relaxed);
          }};
}

// The script as the caller named it, from where the caller stood.
std::string script_path_of(const ExecSample& sample, Arena& scratch) {
  WireString cwd = sample.cwd;
  cwd.flags &= ~static_cast<std::uint32_t>(CICD_STRING_DELETED);
  return std::string(
      join_path(path_text(cwd, 0, scratch).text, raw_text(sample.filename), scratch));
}

}  // namespace

std::size_t weight_of(const ExecImage& image) {
  std::size_t bytes = sizeof(ExecImage) + image.exec_path.capacity() + image.cwd.capacity() +
                      image.script_path.capacity() + image.argv.capacity() * sizeof(std::string);
  for (const std::string& argument : image.argv) bytes += argument.size();
  return bytes;
}

MadeImage make_image(const ExecSample& sample, const ImageBudget& budget, Arena& scratch) {
  auto image = std::make_unique<ExecImage>();
  const PathText exec_path = path_text(sample.exec_path, sample.fixed.inode, scratch);
  MadeImage made{nullptr, exec_path.marks};
  image->exec_path = exec_path.text;
  image->exec_path_truncated = sample.exec_path.has(CICD_STRING_TRUNCATED);
  image->exec_path_unreachable = sample.exec_path.has(CICD_STRING_UNREACHABLE);
  image->cwd = path_text(sample.cwd, 0, scratch).text;
  image->argv = split_argv(sample.argv.bytes);
  image->argv_truncated = sample.argv.has(CICD_STRING_TRUNCATED | CICD_STRING_FAULT);
  if (budget.is_spent()) shorten(*image);
  if (image->argv_truncated) made.marks |= kMarkTruncatedArgv;
  image->is_memfd =
      (sample.fixed.header.flags & CICD_EXEC_MEMFD) != 0 || sample.exec_path.has(CICD_STRING_MEMFD);
  if ((sample.fixed.header.flags & CICD_EXEC_SCRIPT) != 0) {
    image->script_path = script_path_of(sample, scratch);
  }
  made.image = publish(std::move(image), budget);
  return made;
}

std::shared_ptr<const ExecImage> make_image(const ProcFacts& facts, const ImageBudget& budget) {
  auto image = std::make_unique<ExecImage>();
  image->exec_path = facts.exec_path;
  image->cwd = facts.cwd;
  image->argv = facts.argv;
  image->argv_truncated = facts.argv_truncated;
  image->is_memfd = facts.exec_path.starts_with("/memfd:");
  image->is_known = false;
  if (budget.is_spent()) shorten(*image);
  return publish(std::move(image), budget);
}

}  // namespace cicd
