// SPDX-License-Identifier: Apache-2.0
// Result<T>: the one way our code reports failure. Nothing of ours throws; exceptions of libraries
// are caught at the edge and become an Error.
//
// An Error gains context on the way up (`with_context("load rules")`), so that the line a user sees
// reads from the outside in: "load rules: rules/x.yaml:3:7: unknown action". GCC 12's std::expected
// has no and_then/transform; use CICD_TRY and CICD_ASSIGN.
#pragma once

#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace cicd {

// What kind of failure it is, for callers that act on it and for exit codes.
enum class ErrorCode {
  kInternal,      // a bug of ours or an unexpected answer of a library
  kUsage,         // bad flag or argument
  kInvalidInput,  // malformed rules, recording, configuration, ...
  kNotFound,      // a file, command or object that does not exist
  kPermission,    // EPERM, EACCES, missing capability
  kUnsupported,   // this kernel or host lacks what is needed
  kIo,            // read or write failed
  kResource,      // memory, disk, descriptors, map entries
  kTimeout,
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  int sys_errno = 0;  // errno at the time, or 0
  std::string text;   // one line, no trailing period, no newline
  std::string hint;   // what the user can do next, or empty

  Error&& with_context(std::string_view context) && {
    text.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
  Error&& with_hint(std::string_view next_step) && {
    hint = next_step;
    return std::move(*this);
  }
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string text, std::string hint = {}) {
  return std::unexpected(Error{code, 0, std::move(text), std::move(hint)});
}

// Text is "<what>: <strerror>"; the code follows from the errno where that is clear.
std::unexpected<Error> fail_errno(int sys_errno, std::string_view what);

}  // namespace cicd

// Return the error of `expr` (a Result<void> or Result<T> whose value is not needed) to the caller.
#define CICD_TRY(expr)                                                                \
  do {                                                                                \
    auto cicd_try_result = (expr);                                                    \
    if (!cicd_try_result) return std::unexpected(std::move(cicd_try_result).error()); \
  } while (0)

#define CICD_CONCAT_INNER(a, b) a##b
#define CICD_CONCAT(a, b) CICD_CONCAT_INNER(a, b)
// CICD_ASSIGN(auto x, expr): x is the value of the Result `expr`, or its error is returned.
#define CICD_ASSIGN(decl, expr) CICD_ASSIGN_INNER(CICD_CONCAT(cicd_result_, __LINE__), decl, expr)
#define CICD_ASSIGN_INNER(tmp, decl, expr)                  \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
