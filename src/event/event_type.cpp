// SPDX-License-Identifier: Apache-2.0
#include "event/event_type.h"

#include <array>

namespace cicd {

namespace {

using enum FieldType;
using enum JsonForm;

constexpr FieldInfo kProcessExecFields[] = {
    {"is_memfd", "is_memfd", kBool, kPlain, "The program was run from memory (`memfd_create`)."},
    {"script_path", "script_path", kString, kPlain,
     "For a script: its path; `process.exec_path` is the interpreter.", false},
    {"filename", "filename", kString, kPlain,
     "The name given to `execve`, where it differs from `process.exec_path`.", false},
};
constexpr FieldInfo kProcessExitFields[] = {
    {"exit_code", "exit_code", kInt, kAlways, "Exit code, 0 to 255; 0 when a signal ended it."},
    {"signal", "signal", kInt, kPlain, "Signal that ended the process, or 0."},
    {"duration_ms", "duration_ms", kInt, kInt64String,
     "Milliseconds from the start of the process to its end."},
};
constexpr FieldInfo kNetworkConnectFields[] = {
    {"remote_ip", "remote_ip", kString, kPlain, "Address, IPv4 or IPv6 in its shortest form."},
    {"remote_port", "remote_port", kInt, kPlain, "Port, 0 to 65535."},
    {"protocol", "protocol", kString, kPlain, "`tcp`, `udp`, or the protocol's number."},
    {"family", "family", kString, kPlain, "`ipv4` or `ipv6`, as the socket was made."},
    {"domain", "domain", kString, kPlain, "Name the address was resolved from, where it is known.",
     false},
    {"domain_source", "domain_source", kString, kPlain,
     "Where `domain` comes from: `resolver`, `dns_answer`, `getaddrinfo` or `none`.", false},
};
constexpr FieldInfo kFileOpenFields[] = {
    {"path", "path", kString, kPlain, "Absolute path as the process sees it."},
    {"is_read", "is_read", kBool, kPlain, "Opened for reading."},
    {"is_write", "is_write", kBool, kPlain, "Opened for writing."},
    {"flags", "flags", kInt, kInt64String, "The `O_*` flags as the caller gave them."},
    {"error", "error", kString, kPlain,
     "Name of the error (`ENOENT`) when the open failed. Failed opens are not evaluated by rules.",
     false},
};
constexpr FieldInfo kCgroupEscapeFields[] = {
    {"from", "from", kString, kPlain, "Cgroup the task left, below the v2 root."},
    {"to", "to", kString, kPlain, "Cgroup it went to."},
};
constexpr FieldInfo kMonitoringGapFields[] = {
    {"reason", "reason", kString, kPlain, "Why events may be missing."},
    {"duration_ms", "duration_ms", kInt, kInt64String, "Milliseconds the gap lasted."},
};

constexpr std::array<EventTypeInfo, kEventTypeCount> kEventTypes = {{
    {EventType::kProcessExec, "process_exec", kProcessExecFields,
     "A process ran a program (`execve`, `execveat`)."},
    {EventType::kProcessExit, "process_exit", kProcessExitFields,
     "The last thread of a process ended."},
    {EventType::kNetworkConnect, "network_connect", kNetworkConnectFields,
     "A `connect` on an IPv4 or IPv6 socket, or the first datagram of an unconnected socket to a "
     "destination. It is reported when it is tried, whether or not it succeeds."},
    {EventType::kFileOpen, "file_open", kFileOpenFields,
     "A file or directory was opened, or an open failed."},
    {EventType::kCgroupEscape, "cgroup_escape", kCgroupEscapeFields,
     "A process of the job left the job's cgroups. It stays under observation."},
    {EventType::kMonitoringGap, "monitoring_gap", kMonitoringGapFields,
     "The sensor was not watching, or not completely, for a while."},
}};

}  // namespace

std::span<const EventTypeInfo> event_types() { return kEventTypes; }

const EventTypeInfo& info_of(EventType type) { return kEventTypes[static_cast<std::size_t>(type)]; }

std::optional<EventType> event_type_by_name(std::string_view name) {
  for (const EventTypeInfo& info : kEventTypes) {
    if (info.name == name) return info.type;
  }
  return std::nullopt;
}

}  // namespace cicd
