// SPDX-License-Identifier: Apache-2.0
// Connects, opens and cgroups: what known processes do.
#include <sys/socket.h>

#include <charconv>

#include "track/ip_text.h"
#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxOutside = 4'096;

}  // namespace

void Tracker::Impl::on(const ConnectSample& sample, const Context& context) {
  namespace f = field::network_connect;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kNetworkConnect, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_connect& fixed = sample.fixed;
  if ((fixed.header.flags & CICD_CONNECT_SENDMSG) != 0) record->marks |= kMarkSendmsg;
  record->fields[f::kRemoteIp] = ip_text(fixed.family, fixed.remote_ip, arena);
  record->fields[f::kRemotePort] = fixed.remote_port;
  record->fields[f::kProtocol] = protocol_text(fixed.protocol, arena);
  record->fields[f::kFamily] = fixed.family == AF_INET ? "ipv4" : "ipv6";
  record->fields[f::kDomainSource] = "none";
  const std::size_t bytes = fixed.family == AF_INET ? 4 : sizeof(fixed.remote_ip);
  if (const auto address = IpAddress::from({fixed.remote_ip, bytes})) {
    fill_domain(*record, *address, context);
  }
}

void Tracker::Impl::on(const OpenSample& sample, const Context& context) {
  namespace f = field::file_open;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kFileOpen, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_open& fixed = sample.fixed;
  const bool is_walked = fixed.error == 0 && (fixed.header.flags & CICD_OPEN_UNRESOLVED) == 0;
  const PathText path = is_walked ? path_text(sample.path, fixed.inode, arena)
                                  : unresolved_path_text(sample.path, sample.base, arena);
  record->marks |= path.marks;
  if (fixed.call == CICD_OPEN_TRUNCATE) record->marks |= kMarkTruncate;
  if (fixed.call == CICD_OPEN_COMPAT) record->marks |= kMark32Bit;
  if (fixed.call == CICD_OPEN_IO_URING) record->marks |= kMarkIoUring;
  record->fields[f::kPath] = path.text;
  record->fields[f::kIsRead] = (fixed.header.flags & CICD_OPEN_READ) != 0 ? 1 : 0;
  record->fields[f::kIsWrite] = (fixed.header.flags & CICD_OPEN_WRITE) != 0 ? 1 : 0;
  record->fields[f::kFlags] = fixed.open_flags;
  if (fixed.error != 0) record->fields[f::kError] = errno_text(fixed.error, arena);
}

void Tracker::Impl::on(const CgroupSample& sample, const Context& context) {
  const std::uint64_t target = sample.fixed.target_cgroup_id;
  switch (context.header.type) {
    case CICD_SAMPLE_CGROUP_MKDIR:
      if (!cgroups_.add(target, context.header.slot, raw_text(sample.path))) {
        ++context.job.cgroups_dropped;
      }
      return;
    case CICD_SAMPLE_CGROUP_RMDIR:
      cgroups_.remove(target);
      return;
    default:
      break;
  }
  if ((context.header.flags & CICD_ATTACH_ESCAPE) != 0) {
    on_escape(sample, context);
    return;
  }
  // Into the job, or to another place in it.
  if (!cgroups_.add(target, context.header.slot, raw_text(sample.path))) {
    ++context.job.cgroups_dropped;
  }
  const Owner owner = owner_of(context, Appearance::kJoined);
  move_process(owner.entry, context);
  owner.entry.is_escaped = false;
}

void Tracker::Impl::on_escape(const CgroupSample& sample, const Context& context) {
  namespace f = field::cgroup_escape;
  const std::uint64_t target = sample.fixed.target_cgroup_id;
  // A clone into a foreign cgroup: whether its fork was told of before or not, it is explained.
  const bool is_clone = (context.header.flags & CICD_ATTACH_CLONE) != 0;
  const Owner owner = owner_of(context, is_clone ? Appearance::kForked : Appearance::kUnexplained);
  // A process that another job has now (it was cloned or moved into it) is not outside there.
  const bool is_ours = owner.entry.slot == context.header.slot;
  if (!is_ours || !owner.entry.is_escaped) ++context.job.activity.escaped;
  if (is_ours) owner.entry.is_escaped = true;
  if (context.job.outside.size() < kMaxOutside) context.job.outside.insert(target);
  EventRecord* record = add_record(EventType::kCgroupEscape, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  record->marks |= kMarkEscaped;
  if (sample.path.has(CICD_STRING_TRUNCATED)) record->marks |= kMarkTruncatedPath;
  Arena& arena = context.batch->arena;
  record->fields[f::kFrom] = cgroup_text(sample.fixed.from_cgroup_id, {}, arena);
  record->fields[f::kTo] = cgroup_text(target, raw_text(sample.path), arena);
}

std::string_view Tracker::Impl::cgroup_text(std::uint64_t id, std::string_view path,
                                            Arena& arena) const {
  if (path.empty()) path = cgroups_.path_of(id);
  if (!path.empty()) return arena.store(path);
  constexpr std::string_view kPrefix = "cgroup id ";
  char text[kPrefix.size() + 20];
  kPrefix.copy(text, kPrefix.size());
  const char* end = std::to_chars(text + kPrefix.size(), text + sizeof(text), id).ptr;
  return arena.store({text, static_cast<std::size_t>(end - text)});
}

}  // namespace cicd
