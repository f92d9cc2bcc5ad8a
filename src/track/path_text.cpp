// SPDX-License-Identifier: Apache-2.0
#include "track/path_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <initializer_list>

#include "event/event_record.h"

namespace cicd {

namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::string_view kMissingTop = "...";
constexpr std::uint32_t kOutsideEveryPath = CICD_STRING_PIPE | CICD_STRING_SOCKET |
                                            CICD_STRING_NAMESPACE | CICD_STRING_ANON_INODE |
                                            CICD_STRING_MEMFD;

std::uint32_t marks_of(const WireString& path) {
  std::uint32_t marks = 0;
  if (path.has(CICD_STRING_TRUNCATED)) marks |= kMarkTruncatedPath;
  if (path.has(CICD_STRING_FAULT)) marks |= kMarkFaultPath;
  if (path.has(CICD_STRING_DELETED)) marks |= kMarkDeletedPath;
  if (path.has(CICD_STRING_UNREACHABLE)) marks |= kMarkUnreachablePath;
  return marks;
}

// memcpy that takes an empty view; returns the end of what it wrote.
char* put(std::string_view text, char* at) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

std::string_view concat(std::initializer_list<std::string_view> parts, Arena& arena) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  const std::span<char> out = arena.allocate(size);
  char* at = out.data();
  for (const std::string_view part : parts) at = put(part, at);
  return {out.data(), size};
}

// Components from the leaf up are written from the end of `out` to its start.
std::string_view reverse_components(std::string_view bytes, bool is_top_missing,
                                    std::string_view suffix, Arena& arena) {
  const std::size_t room = kMissingTop.size() + bytes.size() + 1 + suffix.size();
  const std::span<char> out = arena.allocate(room);
  char* at = out.data() + room - suffix.size();
  put(suffix, at);
  bool is_root = true;
  while (!bytes.empty()) {
    const void* nul = std::memchr(bytes.data(), '\0', bytes.size());
    const std::size_t length =
        nul ? static_cast<std::size_t>(static_cast<const char*>(nul) - bytes.data()) : bytes.size();
    if (length > 0) {
      at -= length;
      std::memcpy(at, bytes.data(), length);
      *--at = '/';
      is_root = false;
    }
    bytes.remove_prefix(nul ? length + 1 : length);
  }
  if (is_root) *--at = '/';
  if (is_top_missing) {
    at -= kMissingTop.size();
    std::memcpy(at, kMissingTop.data(), kMissingTop.size());
  }
  return {at, static_cast<std::size_t>(out.data() + room - at)};
}

std::string_view with_inode(std::string_view kind, std::uint64_t inode, Arena& arena) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), inode).ptr;
  return concat({kind, ":[", {digits, static_cast<std::size_t>(end - digits)}, "]"}, arena);
}

std::string_view without_prefix(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

std::string_view pseudo_path(const WireString& path, std::uint64_t inode, Arena& arena) {
  const std::string_view name = raw_text(path);
  if (path.has(CICD_STRING_PIPE)) return with_inode("pipe", inode, arena);
  if (path.has(CICD_STRING_SOCKET)) return with_inode("socket", inode, arena);
  if (path.has(CICD_STRING_NAMESPACE)) {
    return with_inode(name.empty() || name == "/" ? "ns" : name, inode, arena);
  }
  if (path.has(CICD_STRING_ANON_INODE)) {
    return concat({"anon_inode:", without_prefix(name, "anon_inode:")}, arena);
  }
  return concat({"/memfd:", without_prefix(name, "memfd:"), kDeleted}, arena);
}

// Appends `path` without "." components and repeated or trailing slashes; returns the new end.
char* append_clean(std::string_view path, char* at) {
  while (!path.empty()) {
    const void* slash = std::memchr(path.data(), '/', path.size());
    const std::size_t length =
        slash ? static_cast<std::size_t>(static_cast<const char*>(slash) - path.data())
              : path.size();
    const std::string_view component(path.data(), length);
    if (!component.empty() && component != ".") {
      *at++ = '/';
      at = put(component, at);
    }
    path.remove_prefix(slash ? length + 1 : length);
  }
  return at;
}

// "name", "./name", "/name/": no other directory and no ".." on the way. "name/." goes through the
// name.
bool is_single_name(std::string_view path) {
  std::size_t names = 0;
  bool ends_in_dot = false;
  while (!path.empty()) {
    const std::size_t length = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, length);
    path.remove_prefix(std::min(length + 1, path.size()));
    if (component.empty()) continue;
    if (component == "..") return false;
    ends_in_dot = component == ".";
    if (!ends_in_dot) ++names;
  }
  return names == 1 && !ends_in_dot;
}

}  // namespace

std::string_view raw_text(const WireString& string) {
  return string.bytes.substr(0, string.bytes.find('\0'));
}

PathText path_text(const WireString& path, std::uint64_t inode, Arena& arena) {
  const std::uint32_t marks = marks_of(path);
  if (path.has(kOutsideEveryPath)) {
    // A memfd never had a name to lose: "(deleted)" is how d_path writes it, not a fact to mark.
    return {pseudo_path(path, inode, arena), marks & ~std::uint32_t{kMarkDeletedPath}};
  }
  const std::string_view suffix = path.has(CICD_STRING_DELETED) ? kDeleted : std::string_view{};
  if (!path.has(CICD_STRING_COMPONENTS)) {
    const std::string_view text = raw_text(path);
    return {suffix.empty() ? arena.store(text) : concat({text, suffix}, arena), marks};
  }
  const bool is_top_missing = (marks & (kMarkTruncatedPath | kMarkFaultPath)) != 0;
  return {reverse_components(path.bytes, is_top_missing, suffix, arena), marks};
}

std::string_view join_path(std::string_view base, std::string_view path, Arena& arena) {
  if (path.empty()) return {};
  const bool is_absolute = path.front() == '/';
  if (is_absolute) base = {};
  while (base.ends_with('/')) base.remove_suffix(1);
  const std::span<char> out = arena.allocate(base.size() + path.size() + 2);
  char* at = put(base, out.data());
  at = append_clean(path, at);
  if (at == out.data()) *at++ = '/';
  return {out.data(), static_cast<std::size_t>(at - out.data())};
}

PathText unresolved_path_text(const WireString& path, const WireString& base, Arena& arena) {
  std::uint32_t marks = marks_of(path) | kMarkUnresolvedPath;
  const std::string_view text = raw_text(path);
  if (text.empty()) return {{}, marks};
  if (text.front() == '/') return {join_path({}, text, arena), marks};
  if (base.bytes.empty() && base.flags == 0) {
    // No base came with it: relative it stays. Joining would make it look absolute.
    return {join_path(".", text, arena), marks};
  }
  // Without " (deleted)" in the middle of a path; the mark says it.
  WireString plain_base = base;
  plain_base.flags &= ~static_cast<std::uint32_t>(CICD_STRING_DELETED);
  const PathText base_text = path_text(plain_base, 0, arena);
  marks |= marks_of(base);
  return {join_path(base_text.text, text, arena), marks};
}

PathText named_path_text(const WireString& path, const WireString& base, bool is_followed,
                         Arena& arena) {
  if (path.has(CICD_STRING_COMPONENTS | kOutsideEveryPath)) return path_text(path, 0, arena);
  const std::string_view text = raw_text(path);
  const bool has_base = base.has(CICD_STRING_COMPONENTS);
  constexpr std::uint32_t kDamaged = CICD_STRING_FAULT | CICD_STRING_TRUNCATED;
  if (text.empty() && has_base && !path.has(kDamaged)) return path_text(base, 0, arena);
  PathText out = unresolved_path_text(path, base, arena);
  const bool is_exact = !is_followed && !path.has(kDamaged) && is_single_name(text) &&
                        (has_base || text.front() == '/');
  if (is_exact) out.marks &= ~std::uint32_t{kMarkUnresolvedPath};
  return out;
}

}  // namespace cicd
