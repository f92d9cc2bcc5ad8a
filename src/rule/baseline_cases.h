// SPDX-License-Identifier: Apache-2.0
// What the tests of the baseline rules share: cases, and events as one writes them down. The cases
// of a theme stand in baseline_<theme>_test.cpp; baseline_test.cpp runs them all. Tests only.
#pragma once

#include <string>
#include <vector>

#include "rule/test_events.h"

namespace cicd::baseline {

using test::connect;
using test::Event;
using test::exec;
using test::open;
using test::Program;
using Chain = std::vector<Program>;

struct Case {
  std::string rule;
  std::vector<Event> fires;
  std::vector<Event> quiet;
};
// Each list of events is a job.
struct CorrelationCase {
  std::string rule;
  std::vector<std::vector<Event>> fires;
  std::vector<std::vector<Event>> quiet;
};

inline std::vector<Case> joined(const std::vector<std::vector<Case>>& parts) {
  std::vector<Case> out;
  for (const std::vector<Case>& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

std::vector<Case> install_cases();
std::vector<Case> install_act_cases();
std::vector<Case> credential_cases();
std::vector<Case> execution_cases();
std::vector<Case> persistence_cases();
std::vector<Case> process_access_cases();
std::vector<Case> tampering_cases();
std::vector<Case> isolation_cases();
std::vector<Case> kernel_cases();
std::vector<Case> exfiltration_cases();
std::vector<CorrelationCase> correlation_cases();

inline constexpr bool kWrite = true;

inline const Program kBash = {"/usr/bin/bash", {"bash", "-e", "/tmp/step.sh"}};
inline const Program kPip = {"/usr/bin/python3.11",
                             {"/usr/bin/python3", "-m", "pip", "install", "./x"}};
inline const Program kNpm = {"/usr/bin/node", {"node", "/usr/bin/npm", "ci"}};
inline const Program kNpmRun = {"/usr/bin/node", {"node", "/usr/bin/npm", "run", "build"}};
inline const Program kScript = {"/usr/bin/dash", {"/bin/sh", "/tmp/x/postinstall.sh"}};

// `program` as the script of an install starts it, and as a step of the job does.
inline Chain below_pip(Program program) { return {std::move(program), kScript, kPip, kBash}; }
inline Chain below_npm(Program program) { return {std::move(program), kScript, kNpm, kBash}; }
inline Chain below_npm_run(Program program) {
  return {std::move(program), kScript, kNpmRun, kBash};
}
inline Chain in_step(Program program) { return {std::move(program), kBash}; }

inline const Program kCat = {"/usr/bin/cat", {"cat"}};
inline const Program kCurl = {"/usr/bin/curl",
                              {"curl", "--data-binary", "@-", "http://127.0.0.1/"}};
inline const Program kGit = {"/usr/bin/git", {"git", "checkout", "main"}};
inline const Program kDpkg = {"/usr/bin/dpkg", {"dpkg", "-i", "x.deb"}};

inline Program shell(const std::string& command) {
  return {"/usr/bin/dash", {"sh", "-c", command}};
}
inline Program python(const std::string& code) {
  return {"/usr/bin/python3.11", {"python3", "-c", code}};
}

inline Event escape(const std::string& from, const std::string& to) {
  Event event(EventType::kCgroupEscape, test::chain(in_step(kCat)));
  event.text(field::cgroup_escape::kFrom, from);
  event.text(field::cgroup_escape::kTo, to);
  return event;
}

inline const Program kNode = {"/usr/bin/node", {"node", "index.js"}};
inline const Program kPython = {"/usr/bin/python3.11", {"python3", "build.py"}};
inline const Program kGdb = {"/usr/bin/gdb", {"gdb", "-p", "4711"}};
inline const Program kDocker = {"/usr/bin/docker", {"docker", "ps"}};
inline const Program kRunc = {"/usr/bin/runc", {"runc", "init"}};
inline const Program kSudo = {"/usr/bin/sudo", {"sudo", "ls"}};
inline const Program kMake = {"/usr/bin/make", {"make"}};
inline const Program kAws = {"/usr/local/bin/aws", {"aws", "sts"}};
inline const std::string kWorker = "/home/runner/actions-runner/bin/Runner.Worker";

inline Event memory(const std::string& method, const std::string& target, const Chain& chain) {
  namespace f = field::memory_read;
  Event event(EventType::kMemoryRead, test::chain(chain));
  return event.text(f::kMethod, method)
      .number(f::kTargetPid, 4711)
      .text(f::kTargetExecPath, target);
}
inline Event traced(const std::string& request, const std::string& target, const Chain& chain) {
  namespace f = field::ptrace;
  Event event(EventType::kPtrace, test::chain(chain));
  return event.text(f::kRequest, request).text(f::kTargetExecPath, target);
}
inline Event signalled(std::int64_t signal, const std::string& target, const Chain& chain) {
  namespace f = field::signal;
  Event event(EventType::kSignal, test::chain(chain));
  return event.number(f::kSignal, signal).text(f::kTargetExecPath, target);
}
inline Event removed(const std::string& path, const Chain& chain, bool is_folder = false) {
  namespace f = field::file_remove;
  Event event(EventType::kFileRemove, test::chain(chain));
  return event.text(f::kPath, path).number(f::kIsFolder, is_folder);
}
inline Event moved(const std::string& from, const std::string& to, const Chain& chain) {
  namespace f = field::file_move;
  Event event(EventType::kFileMove, test::chain(chain));
  return event.text(f::kFromPath, from).text(f::kToPath, to);
}
inline Event linked(const std::string& created, const std::string& existing, const Chain& chain,
                    bool is_hardlink = false) {
  namespace f = field::file_link;
  Event event(EventType::kFileLink, test::chain(chain));
  return event.text(f::kCreatedPath, created)
      .text(f::kExistingPath, existing)
      .number(f::kIsHardlink, is_hardlink)
      .number(f::kIsSymlink, !is_hardlink);
}
inline Event mounted(const std::string& source, const std::string& target, const Chain& chain) {
  namespace f = field::mount;
  Event event(EventType::kMount, test::chain(chain));
  return event.text(f::kSourcePath, source).text(f::kTargetPath, target);
}
inline Event unix_connect(const std::string& path, const Chain& chain) {
  namespace f = field::unix_socket_connect;
  Event event(EventType::kUnixSocketConnect, test::chain(chain));
  return event.text(f::kPath, path)
      .text(f::kSocketType, "stream")
      .number(f::kIsAbstract, path.starts_with('@'));
}
inline Event asked(const std::string& name, const Chain& chain) {
  namespace f = field::domain;
  Event event(EventType::kDomain, test::chain(chain));
  return event.text(f::kDomain, name).text(f::kSource, "dns");
}
inline Event request(const std::string& method, const std::string& host, const std::string& path,
                     const Chain& chain) {
  namespace f = field::http_request;
  Event event(EventType::kHttpRequest, test::chain(chain));
  return event.text(f::kMethod, method)
      .text(f::kHost, host)
      .text(f::kPath, path)
      .text(f::kSource, "http");
}
inline Event privileged(const std::string& kind, std::int64_t from, std::int64_t to,
                        const std::string& capabilities, const Chain& chain) {
  namespace f = field::privilege_change;
  Event event(EventType::kPrivilegeChange, test::chain(chain));
  return event.text(f::kKind, kind)
      .number(f::kUidFrom, from)
      .number(f::kUidTo, to)
      .text(f::kCapabilities, capabilities);
}
inline Event namespaces(const std::string& operation, const std::string& flags,
                        const Chain& chain) {
  namespace f = field::namespace_change;
  Event event(EventType::kNamespaceChange, test::chain(chain));
  return event.text(f::kOperation, operation).text(f::kFlags, flags);
}
inline Event module(const std::string& name, const Chain& chain) {
  Event event(EventType::kModuleLoad, test::chain(chain));
  return event.text(field::module_load::kName, name);
}
inline Event bpf(const std::string& command, const Chain& chain) {
  Event event(EventType::kBpfUse, test::chain(chain));
  return event.text(field::bpf_use::kCommand, command);
}
inline Event io_uring(const std::string& operation, const std::string& path, const Chain& chain) {
  namespace f = field::io_uring_op;
  Event event(EventType::kIoUringOp, test::chain(chain));
  return event.text(f::kOperation, operation).text(f::kPath, path);
}
inline Event exec_memory(const Chain& chain) {
  Event event(EventType::kExecMemory, test::chain(chain));
  return event.text(field::exec_memory::kKind, "mmap");
}

}  // namespace cicd::baseline
