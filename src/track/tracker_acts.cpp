// SPDX-License-Identifier: Apache-2.0
// What attackers do: privileges, namespaces, the kernel.
#include <linux/bpf.h>

#include "track/ip_text.h"
#include "track/kernel_names.h"
#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

std::string_view privilege_text(std::uint32_t kind) {
  switch (kind) {
    case CICD_PRIVILEGE_SETUID:
      return "setuid";
    case CICD_PRIVILEGE_SETGID:
      return "setgid";
    case CICD_PRIVILEGE_CAPSET:
      return "capset";
    default:
      return "exec";
  }
}

std::string_view namespace_operation_text(std::uint32_t operation) {
  switch (operation) {
    case CICD_NAMESPACE_UNSHARE:
      return "unshare";
    case CICD_NAMESPACE_SETNS:
      return "setns";
    default:
      return "clone";
  }
}

}  // namespace

void Tracker::Impl::on(const PrivilegeSample& sample, const Context& context) {
  namespace f = field::privilege_change;
  const Owner owner = owner_of(context);
  EventRecord* record =
      add_record(EventType::kPrivilegeChange, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  const cicd_sample_privilege& fixed = sample.fixed;
  record->fields[f::kKind] = privilege_text(fixed.kind);
  record->fields[f::kUidFrom] = fixed.uid_from;
  record->fields[f::kUidTo] = fixed.uid_to;
  record->fields[f::kGidFrom] = fixed.gid_from;
  record->fields[f::kGidTo] = fixed.gid_to;
  record->fields[f::kCapabilities] =
      capabilities_text(fixed.capabilities_to & ~fixed.capabilities_from, context.batch->arena);
}

void Tracker::Impl::on(const NamespaceSample& sample, const Context& context) {
  namespace f = field::namespace_change;
  const Owner owner = owner_of(context);
  EventRecord* record =
      add_record(EventType::kNamespaceChange, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_namespace& fixed = sample.fixed;
  record->fields[f::kOperation] = namespace_operation_text(fixed.operation);
  record->fields[f::kFlags] = namespaces_text(fixed.flags, arena);
  if (fixed.error != 0) {
    record->fields[f::kError] = errno_text(static_cast<int>(fixed.error), arena);
  }
}

void Tracker::Impl::on(const ModuleSample& sample, const Context& context) {
  namespace f = field::module_load;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kModuleLoad, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  constexpr std::uint32_t kFile = CICD_STRING_COMPONENTS | CICD_STRING_MEMFD | CICD_STRING_PIPE |
                                  CICD_STRING_SOCKET | CICD_STRING_NAMESPACE |
                                  CICD_STRING_ANON_INODE;
  if (sample.name.has(kFile)) {
    const PathText path = path_text(sample.name, 0, arena);
    record->marks |= path.marks;
    record->fields[f::kName] = arena.store(path.text);
  } else {
    record->fields[f::kName] = arena.store(raw_text(sample.name));
  }
  if (sample.fixed.error != 0) {
    record->fields[f::kError] = errno_text(static_cast<int>(sample.fixed.error), arena);
  }
}

void Tracker::Impl::on(const BpfSample& sample, const Context& context) {
  namespace f = field::bpf_use;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kBpfUse, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_bpf& fixed = sample.fixed;
  record->fields[f::kCommand] = bpf_command_text(fixed.command, arena);
  if (fixed.command == BPF_PROG_LOAD) {
    record->fields[f::kProgramType] = bpf_program_type_text(fixed.program_type, arena);
  }
  if (fixed.error != 0) {
    record->fields[f::kError] = errno_text(static_cast<int>(fixed.error), arena);
  }
}

void Tracker::Impl::on(const SocketSample& sample, const Context& context) {
  namespace f = field::socket_create;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kSocketCreate, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_socket& fixed = sample.fixed;
  record->fields[f::kFamily] = socket_family_text(fixed.family, arena);
  record->fields[f::kType] = socket_type_text(fixed.type, arena);
  record->fields[f::kProtocol] = socket_protocol_text(fixed.family, fixed.protocol, arena);
  if (fixed.error != 0) {
    record->fields[f::kError] = errno_text(static_cast<int>(fixed.error), arena);
  }
}

void Tracker::Impl::on(const IoUringSample& sample, const Context& context) {
  namespace f = field::io_uring_op;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kIoUringOp, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  const cicd_sample_io_uring& fixed = sample.fixed;
  record->fields[f::kOperation] = io_uring_text(fixed.opcode, arena);
  if (!sample.path.bytes.empty() || sample.path.flags != 0) {
    const PathText path = unresolved_path_text(sample.path, sample.base, arena);
    record->marks |= path.marks;
    record->fields[f::kPath] = path.text;
  }
  if (fixed.family != 0) {
    record->fields[f::kRemoteIp] = ip_text(fixed.family, fixed.remote_ip, arena);
    record->fields[f::kRemotePort] = fixed.remote_port;
  }
}

}  // namespace cicd
