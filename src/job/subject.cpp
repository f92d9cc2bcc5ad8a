// SPDX-License-Identifier: Apache-2.0
#include "job/subject.h"

#include <signal.h>
#include <string.h>

#include "base/utf8.h"
#include "event/redact.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxSubjectBytes = 1024;

std::string command_line_of(const Process& process, std::string_view script,
                            bool redact_arguments) {
  std::string out(script.empty() ? std::string_view(process.exec_path()) : script);
  const std::vector<std::string>& argv = process.image->argv;
  const std::size_t first = first_argument(argv, script);
  ArgvRedactor redactor(redact_arguments);
  for (std::size_t i = 0; i < argv.size() && out.size() < kMaxSubjectBytes; ++i) {
    const std::string_view shown = redactor.next(argv[i]);
    if (i >= first) out.append(" ").append(shown);
  }
  return out;
}

void append_address(std::string_view ip, std::int64_t port, std::string& out) {
  if (ip.find(':') == std::string_view::npos) {
    out.append(ip);
  } else {
    out.append("[").append(ip).append("]");
  }
  out.append(":").append(std::to_string(port));
}

std::string destination_of(const EventRecord& record) {
  namespace f = field::network_connect;
  std::string out;
  append_address(record.text(f::kRemoteIp), record.number(f::kRemotePort), out);
  out.append("/").append(record.text(f::kProtocol));
  if (!record.text(f::kDomain).empty()) {
    out.append(" (").append(record.text(f::kDomain)).append(")");
  }
  return out;
}

// "/opt/runner/Runner.Worker (pid 123)"; the fields stand where ptrace has them in all three types.
std::string target_of(const EventRecord& record) {
  namespace f = field::ptrace;
  static_assert(+f::kTargetPid == +field::memory_read::kTargetPid &&
                +f::kTargetPid == +field::signal::kTargetPid);
  const std::string_view program = record.text(f::kTargetExecPath);
  const std::int64_t pid = record.number(f::kTargetPid);
  std::string out(program.empty() ? std::string_view("a process") : program);
  if (pid != 0) out.append(" (pid ").append(std::to_string(pid)).append(")");
  return out;
}

std::string memory_text(const EventRecord& record) {
  const std::string_view method = record.text(field::memory_read::kMethod);
  std::string_view what = "memory of ";
  if (method == "proc_environ") what = "environment of ";
  if (method == "proc_maps") what = "memory map of ";
  const bool is_write = method == "process_vm_writev";
  return std::string(is_write ? "wrote " : "read ").append(what) + target_of(record);
}

std::string signal_text(const EventRecord& record) {
  const std::int64_t number = record.number(field::signal::kSignal);
  const char* name = number > 0 && number < NSIG ? sigabbrev_np(static_cast<int>(number)) : nullptr;
  std::string out =
      name == nullptr ? "signal " + std::to_string(number) : std::string("SIG") + name;
  return out + " to " + target_of(record);
}

std::string arrow(std::string_view from, std::string_view to) {
  return std::string(from).append(" -> ").append(to);
}

std::string mount_text(const EventRecord& record) {
  namespace f = field::mount;
  const std::string_view operation = record.text(f::kOperation);
  const std::string_view source = record.text(f::kSourcePath);
  const bool is_plain = operation.empty() || operation == "new";
  std::string out(is_plain ? std::string_view("mount") : operation);
  out.append(" ");
  if (!source.empty()) out.append(source).append(" on ");
  return out.append(record.text(f::kTargetPath));
}

std::string request_text(const EventRecord& record) {
  namespace f = field::http_request;
  std::string out(record.text(f::kMethod));
  out.append(record.text(f::kSource) == "http" ? " http://" : " https://");
  return out.append(record.text(f::kHost)).append(record.text(f::kPath));
}

std::string privilege_text(const EventRecord& record) {
  namespace f = field::privilege_change;
  std::string out(record.text(f::kKind));
  const auto add_change = [&](std::string_view what, std::uint8_t from, std::uint8_t to) {
    if (record.number(from) == record.number(to)) return;
    out.append(what).append(std::to_string(record.number(from))).append(" -> ");
    out.append(std::to_string(record.number(to)));
  };
  add_change(" user ", f::kUidFrom, f::kUidTo);
  add_change(" group ", f::kGidFrom, f::kGidTo);
  if (const std::string_view gained = record.text(f::kCapabilities); !gained.empty()) {
    out.append(" gained ").append(gained == "all" ? "all capabilities" : gained);
  }
  return out;
}

std::string io_uring_text(const EventRecord& record) {
  namespace f = field::io_uring_op;
  std::string out(record.text(f::kOperation));
  if (!record.text(f::kPath).empty()) out.append(" ").append(record.text(f::kPath));
  if (!record.text(f::kRemoteIp).empty()) {
    out.append(" ");
    append_address(record.text(f::kRemoteIp), record.number(f::kRemotePort), out);
  }
  return out;
}

// "registry.test (192.0.2.7:443): port_not_allowed"
std::string violation_text(const EventRecord& record) {
  namespace f = field::egress_violation;
  std::string out(record.text(f::kDomain));
  if (!out.empty()) out.append(" (");
  append_address(record.text(f::kRemoteIp), record.number(f::kRemotePort), out);
  if (!record.text(f::kDomain).empty()) out.append(")");
  return out.append(": ").append(record.text(f::kReason));
}

std::string exit_text(const EventRecord& record) {
  namespace f = field::process_exit;
  if (record.number(f::kSignal) != 0) return "signal " + std::to_string(record.number(f::kSignal));
  return "exit code " + std::to_string(record.number(f::kExitCode));
}

std::string two_words(const EventRecord& record, std::uint8_t first, std::uint8_t second) {
  std::string out(record.text(first));
  if (!record.text(second).empty()) out.append(" ").append(record.text(second));
  return out;
}

// What was asked of the kernel besides files and the network.
std::string act_text(const EventRecord& record) {
  switch (record.type) {
    case EventType::kPtrace:
      return std::string(record.text(field::ptrace::kRequest)) + " of " + target_of(record);
    case EventType::kMemoryRead:
      return memory_text(record);
    case EventType::kSignal:
      return signal_text(record);
    case EventType::kPrivilegeChange:
      return privilege_text(record);
    case EventType::kNamespaceChange:
      return two_words(record, field::namespace_change::kOperation,
                       field::namespace_change::kFlags);
    case EventType::kModuleLoad:
      return std::string(record.text(field::module_load::kName));
    case EventType::kBpfUse:
      return two_words(record, field::bpf_use::kCommand, field::bpf_use::kProgramType);
    case EventType::kSocketCreate:
      return two_words(record, field::socket_create::kFamily, field::socket_create::kType);
    case EventType::kIoUringOp:
      return io_uring_text(record);
    case EventType::kEgressViolation:
      return violation_text(record);
    case EventType::kExecMemory:
      return std::string(record.text(field::exec_memory::kKind)) + " of " +
             std::to_string(record.number(field::exec_memory::kSizeBytes)) + " bytes";
    default:
      return {};
  }
}

std::string text_of(const EventRecord& record, bool redact_arguments) {
  switch (record.type) {
    case EventType::kProcessExec:
      return command_line_of(*record.process, record.text(field::process_exec::kScriptPath),
                             redact_arguments);
    case EventType::kProcessExit:
      return exit_text(record);
    case EventType::kNetworkConnect:
      return destination_of(record);
    case EventType::kFileOpen:
      return std::string(record.text(field::file_open::kPath));
    case EventType::kCgroupEscape:
      return arrow(record.text(field::cgroup_escape::kFrom),
                   record.text(field::cgroup_escape::kTo));
    case EventType::kMonitoringGap:
      return std::string(record.text(field::monitoring_gap::kReason));
    case EventType::kUnixSocketConnect:
      return std::string(record.text(field::unix_socket_connect::kPath));
    case EventType::kFileRemove:
      return std::string(record.text(field::file_remove::kPath));
    case EventType::kFileMove:
      return arrow(record.text(field::file_move::kFromPath),
                   record.text(field::file_move::kToPath));
    case EventType::kFileLink:
      return arrow(record.text(field::file_link::kCreatedPath),
                   record.text(field::file_link::kExistingPath));
    case EventType::kMount:
      return mount_text(record);
    case EventType::kDomain:
      return two_words(record, field::domain::kDomain, field::domain::kQueryType);
    case EventType::kHttpRequest:
      return request_text(record);
    default:
      return act_text(record);
  }
}

// Of a type that has one: the name of the error with which it failed.
std::string_view error_of(const EventRecord& record) {
  const EventTypeInfo& info = info_of(record.type);
  for (std::size_t i = 0; i < info.fields.size(); ++i) {
    if (info.fields[i].name == "error") return record.fields[i].text();
  }
  return {};
}

}  // namespace

std::size_t first_argument(const std::vector<std::string>& argv, std::string_view script) {
  if (script.empty()) return 1;
  const std::string_view name = script.substr(script.rfind('/') + 1);
  for (std::size_t i = 1; i < argv.size() && i <= 2; ++i) {
    const std::string_view argument = argv[i];
    if (argument.substr(argument.rfind('/') + 1) == name) return i + 1;
  }
  return 1;
}

std::string subject_of(const EventRecord& record, bool redact_arguments) {
  std::string out = text_of(record, redact_arguments);
  out.resize(cut_utf8(out, kMaxSubjectBytes).size());
  if (const std::string_view error = error_of(record); !error.empty()) {
    out.append(" (failed: ").append(error).append(")");
  }
  return out;
}

}  // namespace cicd
