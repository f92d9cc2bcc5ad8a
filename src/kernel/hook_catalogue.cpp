// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_catalogue.h"

#include <linux/bpf.h>

#include <array>

namespace cicd {

namespace {

using enum AttachKind;

// arm64 has neither open nor creat; what a kernel does not have is left out when attaching.
constexpr std::string_view kOpenCalls[] = {"sys_exit_openat", "sys_exit_openat2", "sys_exit_open",
                                           "sys_exit_creat", "sys_exit_open_by_handle_at"};

constexpr HookInfo kHooks[] = {
    {"process_fork", HookFamily::kProcess, kTracing, "process_fork"},
    {"process_exec", HookFamily::kProcess, kTracing, "process_exec"},
    {"process_exit", HookFamily::kProcess, kTracing, "process_exit"},
    {"cgroup_made", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_removed", HookFamily::kCgroup, kTracing, "cgroup"},
    {"cgroup_attached", HookFamily::kCgroup, kTracing, "cgroup"},
    {"connect4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET4_CONNECT},
    {"connect6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_INET6_CONNECT},
    {"sendmsg4", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP4_SENDMSG},
    {"sendmsg6", HookFamily::kNetwork, kCgroup, "network_connect", {}, BPF_CGROUP_UDP6_SENDMSG},
    {"dns_sent", HookFamily::kDns, kCgroup, "domain", {}, BPF_CGROUP_INET_EGRESS},
    {"dns_received", HookFamily::kDns, kCgroup, "domain", {}, BPF_CGROUP_INET_INGRESS},
    {"open_returned", HookFamily::kFileOpen, kSyscall, "file_open", kOpenCalls},
};

constexpr std::string_view kExecPrograms[] = {"process_exec", "process_fork"};
constexpr std::string_view kExitPrograms[] = {"process_exit", "process_fork"};
constexpr std::string_view kConnectPrograms[] = {"connect4", "connect6", "sendmsg4", "sendmsg6"};
constexpr std::string_view kDnsPrograms[] = {"dns_sent", "dns_received"};
constexpr std::string_view kOpenPrograms[] = {"open_returned"};
constexpr std::string_view kEscapePrograms[] = {"cgroup_attached", "cgroup_made", "process_fork"};

constexpr std::array<EventBackend, kEventTypeCount> kBackends = {{
    {EventType::kProcessExec, "tp_btf", kExecPrograms, ""},
    {EventType::kProcessExit, "tp_btf", kExitPrograms, ""},
    {EventType::kNetworkConnect, "cgroup", kConnectPrograms,
     "Raw and packet sockets are not seen, and no data on sockets that came connected from "
     "outside the job."},
    {EventType::kFileOpen, "syscall tracepoint", kOpenPrograms,
     "Opens by 32-bit system calls and by io_uring are not seen, nor those of the kernel itself "
     "(the program of an exec is a process_exec)."},
    {EventType::kCgroupEscape, "tp_btf", kEscapePrograms, ""},
    {EventType::kMonitoringGap, "sensor", {}, ""},
    {EventType::kUnixSocketConnect, kNoBackend, {}, ""},
    {EventType::kFileRemove, kNoBackend, {}, ""},
    {EventType::kFileMove, kNoBackend, {}, ""},
    {EventType::kFileLink, kNoBackend, {}, ""},
    {EventType::kMount, kNoBackend, {}, ""},
    {EventType::kDomain, "cgroup", kDnsPrograms,
     "Only DNS over UDP and TCP to port 53: neither over TLS or HTTPS nor to other ports, and not "
     "from packet sockets."},
    {EventType::kHttpRequest, kNoBackend, {}, ""},
    {EventType::kPtrace, kNoBackend, {}, ""},
    {EventType::kMemoryRead, kNoBackend, {}, ""},
    {EventType::kPrivilegeChange, kNoBackend, {}, ""},
    {EventType::kNamespaceChange, kNoBackend, {}, ""},
    {EventType::kModuleLoad, kNoBackend, {}, ""},
    {EventType::kBpfUse, kNoBackend, {}, ""},
    {EventType::kIoUringOp, kNoBackend, {}, ""},
    {EventType::kSignal, kNoBackend, {}, ""},
    {EventType::kExecMemory, kNoBackend, {}, ""},
}};

}  // namespace

std::span<const HookInfo> hooks() { return kHooks; }
std::span<const EventBackend> event_backends() { return kBackends; }

}  // namespace cicd
