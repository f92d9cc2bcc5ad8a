// SPDX-License-Identifier: Apache-2.0
#include "rule/rule_files.h"

#include <fcntl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/unique_fd.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

// Reads at most one byte more than a rule file may have, so that /dev/zero ends too.
Result<std::string> read_rule_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open");
  std::string text;
  char buffer[64 * 1024];
  while (text.size() <= kMaxRuleFileBytes) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read");
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return fail(ErrorCode::kInvalidInput, kRuleFileTooLarge);
}

Result<std::vector<std::string>> list_rule_files(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failure;
  for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::string extension = entry->path().extension().string();
    std::error_code ignored;
    if ((extension == ".yaml" || extension == ".yml") && !entry->is_directory(ignored)) {
      files.push_back(entry->path().string());
    }
  }
  if (failure) {
    return fail(ErrorCode::kIo, "cannot read the directory: " + failure.message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

std::size_t find_broken_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (used <= 0) return at;
    at += static_cast<std::size_t>(used);
  }
  return std::string::npos;
}

}  // namespace cicd
