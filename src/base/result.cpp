// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cerrno>

namespace cicd {

namespace {

ErrorCode code_of_errno(int sys_errno) {
  switch (sys_errno) {
    case EPERM:
    case EACCES:
      return ErrorCode::kPermission;
    case ENOENT:
      return ErrorCode::kNotFound;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return ErrorCode::kResource;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorCode::kUnsupported;
    case ETIMEDOUT:
      return ErrorCode::kTimeout;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

std::unexpected<Error> fail_errno(int sys_errno, std::string_view what) {
  char buffer[128];
  return std::unexpected(
      Error{code_of_errno(sys_errno),
            sys_errno,
            std::string(what) + ": " + ::strerror_r(sys_errno, buffer, sizeof(buffer)),
            {}});
}

}  // namespace cicd
