// SPDX-License-Identifier: Apache-2.0
// Names of files: remove, move, link, mount, and Unix sockets.
#include <sys/socket.h>

#include <algorithm>

#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

std::uint32_t marks_of_call(std::uint16_t flags) {
  std::uint32_t marks = 0;
  if ((flags & CICD_PATHS_COMPAT) != 0) marks |= kMark32Bit;
  if ((flags & CICD_PATHS_IO_URING) != 0) marks |= kMarkIoUring;
  return marks;
}

std::string_view operation_text(std::uint32_t operation) {
  switch (operation) {
    case CICD_MOUNT_NEW:
      return "new";
    case CICD_MOUNT_BIND:
      return "bind";
    case CICD_MOUNT_MOVE:
      return "move";
    case CICD_MOUNT_REMOUNT:
      return "remount";
    case CICD_MOUNT_PROPAGATION:
      return "propagation";
    case CICD_MOUNT_UMOUNT:
      return "umount";
    case CICD_MOUNT_PIVOT_ROOT:
      return "pivot_root";
    default:
      return "unknown";
  }
}

// Both texts of a sample; a name that is missing altogether is empty and not worth a mark.
struct Names {
  std::string_view path;
  std::string_view other;
  std::uint32_t marks = 0;
};

PathText other_text(const PathsSample& sample, Arena& arena) {
  const std::uint16_t flags = sample.fixed.header.flags;
  const std::uint16_t type = sample.fixed.header.type;
  const bool is_text = (type == CICD_SAMPLE_LINK && (flags & CICD_PATHS_SYMLINK) != 0) ||
                       (type == CICD_SAMPLE_MOUNT && sample.fixed.operation == CICD_MOUNT_NEW);
  if (is_text) return path_text(sample.other, 0, arena);
  const bool is_followed = type == CICD_SAMPLE_MOUNT || (flags & CICD_PATHS_FOLLOWED) != 0;
  return named_path_text(sample.other, sample.other_base, is_followed, arena);
}

Names names_of(const PathsSample& sample, Arena& arena) {
  const bool is_followed = sample.fixed.header.type == CICD_SAMPLE_MOUNT;
  const PathText path = named_path_text(sample.path, sample.base, is_followed, arena);
  Names names{path.text, {}, path.marks | marks_of_call(sample.fixed.header.flags)};
  const bool has_other = !sample.other.bytes.empty() || sample.other.flags != 0 ||
                         !sample.other_base.bytes.empty() || sample.other_base.flags != 0;
  if (!has_other) return names;
  const PathText other = other_text(sample, arena);
  names.other = other.text;
  names.marks |= other.marks;
  return names;
}

}  // namespace

void Tracker::Impl::on(const PathsSample& sample, const Context& context) {
  const Owner owner = owner_of(context);
  const auto add = [&](EventType type) {
    return add_record(type, context, owner.entry, owner.picture);
  };
  const auto add_move = [&](std::string_view from, std::string_view to, std::uint32_t marks) {
    EventRecord* record = add(EventType::kFileMove);
    record->marks |= marks;
    record->fields[field::file_move::kFromPath] = from;
    record->fields[field::file_move::kToPath] = to;
  };
  if (context.batch == nullptr) return;
  const Names names = names_of(sample, context.batch->arena);
  const std::uint16_t flags = context.header.flags;
  switch (context.header.type) {
    case CICD_SAMPLE_REMOVE: {
      EventRecord* record = add(EventType::kFileRemove);
      record->marks |= names.marks;
      record->fields[field::file_remove::kPath] = names.path;
      record->fields[field::file_remove::kIsFolder] = (flags & CICD_PATHS_FOLDER) ? 1 : 0;
      return;
    }
    case CICD_SAMPLE_MOVE:
      add_move(names.path, names.other, names.marks);
      if ((flags & CICD_PATHS_EXCHANGE) != 0) add_move(names.other, names.path, names.marks);
      return;
    case CICD_SAMPLE_LINK: {
      namespace f = field::file_link;
      EventRecord* record = add(EventType::kFileLink);
      const bool is_symlink = (flags & CICD_PATHS_SYMLINK) != 0;
      record->marks |= names.marks;
      record->fields[f::kCreatedPath] = names.path;
      record->fields[f::kExistingPath] = names.other;
      record->fields[f::kIsHardlink] = is_symlink ? 0 : 1;
      record->fields[f::kIsSymlink] = is_symlink ? 1 : 0;
      return;
    }
    default: {
      EventRecord* record = add(EventType::kMount);
      record->marks |= names.marks;
      record->fields[field::mount::kSourcePath] = names.other;
      record->fields[field::mount::kTargetPath] = names.path;
      record->fields[field::mount::kOperation] = operation_text(sample.fixed.operation);
      return;
    }
  }
}

namespace {

// "@name", as /proc/net/unix writes it: a NUL within the name is an '@' as well.
std::string_view abstract_text(std::string_view name, Arena& arena) {
  const std::span<char> out = arena.allocate(name.size() + 1);
  out[0] = '@';
  std::ranges::replace_copy(name, out.data() + 1, '\0', '@');
  return {out.data(), out.size()};
}

std::string_view socket_type_text(std::uint16_t type) {
  switch (type) {
    case SOCK_STREAM:
      return "stream";
    case SOCK_DGRAM:
      return "dgram";
    case SOCK_SEQPACKET:
      return "seqpacket";
    default:
      return "unknown";
  }
}

}  // namespace

void Tracker::Impl::on(const UnixConnectSample& sample, const Context& context) {
  namespace f = field::unix_socket_connect;
  const Owner owner = owner_of(context);
  EventRecord* record =
      add_record(EventType::kUnixSocketConnect, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const std::uint16_t flags = context.header.flags;
  const bool is_abstract = (flags & CICD_UNIX_ABSTRACT) != 0;
  if ((flags & CICD_UNIX_SENDMSG) != 0) record->marks |= kMarkSendmsg;
  if (is_abstract) {
    record->fields[f::kPath] = abstract_text(sample.path.bytes, arena);
    if (sample.path.has(CICD_STRING_FAULT)) record->marks |= kMarkFaultPath;
  } else {
    const PathText path = named_path_text(sample.path, sample.base, true, arena);
    record->fields[f::kPath] = path.text;
    record->marks |= path.marks;
  }
  record->fields[f::kSocketType] = socket_type_text(sample.fixed.socket_type);
  record->fields[f::kIsAbstract] = is_abstract ? 1 : 0;
}

}  // namespace cicd
