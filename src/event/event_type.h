// SPDX-License-Identifier: Apache-2.0
// THE table of event types: name, fields, types, documentation. The rule checker and compiler, the
// JSON output, the reports and the generated docs all read it; a new event type is one entry in
// event_type.cpp and nothing else.
//
// An EventRecord holds its payload as an array indexed as `EventTypeInfo::fields` is, so code that
// fills a record uses the `field::` constants below and generic code the table.
//
// Names and types of fields: interfaces that other programs read; never change one, only add.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cicd {

enum class EventType : std::uint8_t {
  kProcessExec,
  kProcessExit,
  kNetworkConnect,
  kFileOpen,
  kCgroupEscape,
  kMonitoringGap,
  kUnixSocketConnect,
  kFileRemove,
  kFileMove,
  kFileLink,
  kMount,
  kDomain,
  kHttpRequest,
  kPtrace,
  kMemoryRead,
  kPrivilegeChange,
  kNamespaceChange,
  kModuleLoad,
  kBpfUse,
  kIoUringOp,
  kSignal,
  kExecMemory,
  kEgressViolation,
  kSocketCreate,
  kCount,
};
// Room for the fields of one event.
inline constexpr std::size_t kMaxEventFields = 11;
inline constexpr std::size_t kEventTypeCount = static_cast<std::size_t>(EventType::kCount);

enum class FieldType : std::uint8_t { kString, kBool, kInt };

// How a number or string is written to JSON (proto3 JSON rules of the log format).
enum class JsonForm : std::uint8_t {
  kPlain,        // omitted at its zero value
  kInt64String,  // 64-bit numbers are strings; omitted at zero
  kAlways,       // written even at its zero value
};

struct FieldInfo {
  std::string_view name;       // in rules and reports
  std::string_view json_name;  // in log rows; the same but for domain -> name
  FieldType type;
  JsonForm json;
  std::string_view doc;      // one sentence, Markdown
  bool in_rules = true;      // false: in logs only, rules of the portable language cannot name it
  bool in_extended = false;  // rules of the extended language can all the same
};

struct EventTypeInfo {
  EventType type;
  std::string_view name;
  std::span<const FieldInfo> fields;
  std::string_view doc;  // what makes one, Markdown
};

// The whole table, indexed by EventType.
std::span<const EventTypeInfo> event_types();
const EventTypeInfo& info_of(EventType type);
std::optional<EventType> event_type_by_name(std::string_view name);

// Positions of fields in EventRecord::fields, per type. event_type_test holds them to the table.
namespace field {
namespace process_exec {
enum : std::uint8_t { kIsMemfd, kScriptPath, kFilename };
}
namespace process_exit {
enum : std::uint8_t { kExitCode, kSignal, kDurationMs };
}
namespace network_connect {
enum : std::uint8_t {
  kRemoteIp,
  kRemotePort,
  kProtocol,
  kFamily,
  kDomain,
  kDomainSource,
  kDomainCandidates
};
}
namespace file_open {
enum : std::uint8_t { kPath, kIsRead, kIsWrite, kFlags, kError };
}
namespace cgroup_escape {
enum : std::uint8_t { kFrom, kTo };
}
namespace monitoring_gap {
enum : std::uint8_t { kReason, kDurationMs };
}
namespace unix_socket_connect {
enum : std::uint8_t { kPath, kSocketType, kIsAbstract };
}
namespace file_remove {
enum : std::uint8_t { kPath, kIsFolder };
}
namespace file_move {
enum : std::uint8_t { kFromPath, kToPath };
}
namespace file_link {
enum : std::uint8_t { kCreatedPath, kExistingPath, kIsHardlink, kIsSymlink };
}
namespace mount {
enum : std::uint8_t { kSourcePath, kTargetPath, kOperation };
}
namespace domain {
enum : std::uint8_t { kDomain, kSource, kQueryType, kAnswers, kResult };
}
namespace http_request {
enum : std::uint8_t { kMethod, kPath, kHost, kSource };
}
namespace ptrace {
enum : std::uint8_t { kRequest, kTargetPid, kTargetExecPath, kError };
}
namespace memory_read {
enum : std::uint8_t { kMethod, kTargetPid, kTargetExecPath, kError };
}
namespace privilege_change {
enum : std::uint8_t { kKind, kUidFrom, kUidTo, kCapabilities, kGidFrom, kGidTo };
}
namespace namespace_change {
enum : std::uint8_t { kOperation, kFlags, kError };
}
namespace module_load {
enum : std::uint8_t { kName, kError };
}
namespace bpf_use {
enum : std::uint8_t { kCommand, kProgramType, kError };
}
namespace io_uring_op {
enum : std::uint8_t { kOperation, kPath, kRemoteIp, kRemotePort };
}
namespace signal {
enum : std::uint8_t { kSignal, kTargetPid, kTargetExecPath, kError };
}
namespace exec_memory {
enum : std::uint8_t { kKind, kSizeBytes, kCount };
}
namespace egress_violation {
enum : std::uint8_t {
  kVerdict,
  kReason,
  kScope,
  kRemoteIp,
  kRemotePort,
  kProtocol,
  kDomain,
  kDomainSource,
  kCount,
  kBytes,
  kPackets
};
}
namespace socket_create {
enum : std::uint8_t { kFamily, kType, kProtocol, kError };
}
}  // namespace field

}  // namespace cicd
