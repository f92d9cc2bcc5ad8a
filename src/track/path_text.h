// SPDX-License-Identifier: Apache-2.0
// Paths of samples as text. A walked path comes as components from the leaf up and goes out as
// "/a/b/c", with what d_path(9) adds: " (deleted)", "pipe:[inode]", "/memfd:name (deleted)", ...
// Bytes are kept as they are: a path is no UTF-8 and may hold anything but NUL and '/'.
//
// A walked path of which the top is missing (too deep, too long, unreadable) starts with ".../",
// never with '/': "/x/../x/etc/passwd" cut at the top must not read as "/etc/passwd".
//
// Pure functions over an arena; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "wire/decode.h"

namespace cicd {

struct PathText {
  std::string_view text;    // in the arena, or a view of the sample or a literal: copy to keep
  std::uint32_t marks = 0;  // EventMark bits
};

// `inode` names files without a path ("pipe:[7]").
PathText path_text(const WireString& path, std::uint64_t inode, Arena& arena);

// The path of a failed open: `path` as the caller gave it, joined to `base` when it is relative,
// without "." and repeated slashes. ".." stays: what it means depends on symbolic links. Always
// marked unresolved.
PathText unresolved_path_text(const WireString& path, const WireString& base, Arena& arena);

// The path of a call that names a file without opening it. Joined as above, but marked unresolved
// only where a symbolic link may be in it: a single name below a walked base or the root is what it
// says, unless the call follows a link there (`is_followed`). An empty name is the base itself.
PathText named_path_text(const WireString& path, const WireString& base, bool is_followed,
                         Arena& arena);

// The same joining for text that is already there: script_path of an exec.
std::string_view join_path(std::string_view base, std::string_view path, Arena& arena);

// Raw bytes up to the first NUL.
std::string_view raw_text(const WireString& string);

}  // namespace cicd
