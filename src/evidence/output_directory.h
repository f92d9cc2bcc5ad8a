// SPDX-License-Identifier: Apache-2.0
// OutputDirectory: where evidence is written, safely although the job may control the place.
//
// The sensor is root and the directory usually belongs to the user whose job runs, who could put a
// symbolic link where a file of ours is to be. So files are made anew (an old one of the same name
// is unlinked, never opened), with the owner's own rights where those suffice; where they do not (a
// directory of root's) with ours, and then never through a link.
//
// Threads: one at a time; changes the calling thread's filesystem ids for the time of a call.
#pragma once

#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

struct FileOwner {
  int uid = -1;  // -1: whoever we are
  int gid = -1;
};

class OutputDirectory {
 public:
  // Makes the directory (and its parents) when it is missing. The error tells a path that is no
  // directory, one that may not be written and a missing parent apart.
  static Result<OutputDirectory> open(const std::string& path, FileOwner owner);

  // A new empty file, open for writing. `name` is a name, no path.
  Result<UniqueFd> create(const std::string& name) const;
  // Writes a file whole or not at all: temporary file, sync, rename.
  Result<void> replace(const std::string& name, std::string_view content) const;
  // The same for a file that is made in pieces: `make` hands each to its argument.
  using Write = FunctionRef<void(std::string_view piece)>;
  Result<void> replace(const std::string& name, FunctionRef<void(Write)> make) const;

  const std::string& path() const { return path_; }

 private:
  OutputDirectory() = default;
  Result<UniqueFd> create_once(const std::string& name) const;

  std::string path_;
  FileOwner owner_;
  bool with_owner_rights_ = false;
  UniqueFd fd_;
};

// Writes all of it, through short writes and EINTR. 0 or the errno; `written` counts in any case.
int write_all(int fd, std::string_view bytes, std::uint64_t offset, std::size_t& written);

}  // namespace cicd
