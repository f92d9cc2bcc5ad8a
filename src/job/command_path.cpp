// SPDX-License-Identifier: Apache-2.0
#include "job/command_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace cicd {

namespace {

// 0, or why this file cannot be executed.
int executable_error(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (!S_ISREG(info.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

std::unexpected<Error> not_executable(const std::string& path, int error) {
  auto failure = fail_errno(error, "cannot run '" + path + "'");
  failure.error().code = ErrorCode::kPermission;
  std::string hint = "see its mode: ls -l '" + path + "'";
  if (error == EISDIR) hint = "it is a folder: name a program";
  return std::unexpected(std::move(failure.error()).with_hint(hint));
}

std::unexpected<Error> not_found(const std::string& name, std::string hint) {
  return fail(ErrorCode::kNotFound, "command not found: '" + name + "'", std::move(hint));
}

}  // namespace

Result<std::string> find_command(const std::string& name, const std::string& search_path) {
  if (name.empty()) return not_found(name, "the command's name is empty");
  if (name.find('/') != std::string::npos) {
    const int error = executable_error(name);
    if (error == 0) return name;
    if (error == ENOENT || error == ENOTDIR) return not_found(name, "check the path");
    return not_executable(name, error);
  }
  std::string refused;
  int refused_error = 0;
  std::string_view rest = search_path;
  for (;;) {
    const std::size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    std::string path = (folder.empty() ? "." : std::string(folder)) + "/" + name;
    const int error = executable_error(path);
    if (error == 0) return path;
    if (error != ENOENT && error != ENOTDIR && error != EISDIR && refused.empty()) {
      refused = path;
      refused_error = error;
    }
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (!refused.empty()) return not_executable(refused, refused_error);
  return not_found(name, "it is not in PATH (" + search_path + ")");
}

}  // namespace cicd
