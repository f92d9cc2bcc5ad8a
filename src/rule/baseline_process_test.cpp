// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: processes that are not a job's own business.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

namespace {

std::vector<Case> first_part() {
  return {
      {"runner_memory_accessed",
       {memory("proc_mem", kWorker, in_step(kCat)),
        memory("process_vm_readv", "/usr/bin/gitlab-runner", in_step(kGdb)),
        memory("process_vm_writev", kWorker, below_npm(kNode))},
       {memory("proc_mem", "/usr/bin/vault", in_step(kCat)),
        memory("proc_maps", kWorker, in_step(kCat))}},
      {"runner_environment_read",
       {memory("proc_environ", kWorker, in_step(kCat))},
       {memory("proc_environ", "/usr/bin/vault", in_step(kCat)),
        memory("proc_maps", kWorker, in_step(kCat))}},
      {"runner_memory_map_read",
       {memory("proc_maps", kWorker, in_step(kPython))},
       {memory("proc_maps", "/usr/bin/vault", in_step(kPython)),
        memory("proc_maps", kWorker, in_step({"/usr/bin/lsof", {"lsof"}}))}},
      {"process_memory_copied",
       {memory("process_vm_readv", "/usr/bin/vault", in_step(kPython)),
        memory("process_vm_readv", "/usr/bin/python3.11",
               in_step({"/usr/local/bin/py-spy", {"py-spy"}}))},
       {memory("process_vm_readv", "/usr/bin/vault", in_step(kGdb)),
        memory("process_vm_readv", "/usr/bin/python3.11", in_step(kPython)),
        memory("process_vm_readv", kWorker, in_step(kPython))}},
      {"process_memory_written",
       {memory("process_vm_writev", "/usr/bin/vault", in_step(kPython))},
       {memory("process_vm_writev", "/usr/bin/vault", in_step(kGdb)),
        memory("process_vm_readv", "/usr/bin/vault", in_step(kPython)),
        memory("process_vm_writev", kWorker, in_step(kPython))}},
      {"process_memory_map_read",
       {memory("proc_maps", "/usr/bin/vault", in_step(kPython))},
       {memory("proc_maps", kWorker, in_step(kPython)),
        memory("proc_maps", "/usr/bin/vault", in_step(kGdb)),
        memory("proc_maps", "/usr/bin/vault", in_step({"/usr/bin/pmap", {"pmap"}}))}},
      {"runner_traced",
       {traced("PTRACE_ATTACH", kWorker, in_step(kGdb)),
        traced("PTRACE_SEIZE", "/usr/bin/gitlab-runner", in_step(kPython))},
       {traced("PTRACE_ATTACH", "/usr/bin/vault", in_step(kPython))}},
  };
}

std::vector<Case> second_part() {
  return {
      {"process_traced",
       {traced("PTRACE_ATTACH", "/usr/bin/vault", in_step(kPython)),
        traced("PTRACE_SEIZE", "/usr/bin/vault", in_step(kPython))},
       {traced("PTRACE_ATTACH", "/usr/bin/vault", in_step(kGdb)),
        traced("PTRACE_ATTACH", "/usr/bin/python3.11", in_step(kPython)),
        traced("PTRACE_TRACEME", "/usr/bin/vault", in_step(kPython)),
        traced("PTRACE_ATTACH", kWorker, in_step(kPython))}},
      {"process_changed_by_tracer",
       {traced("PTRACE_POKETEXT", "/usr/bin/vault", in_step(kPython)),
        traced("PTRACE_SETREGSET", "/usr/bin/vault", in_step(kPython))},
       {traced("PTRACE_POKETEXT", "/usr/bin/vault", in_step(kGdb)),
        traced("PTRACE_PEEKDATA", "/usr/bin/vault", in_step(kPython))}},
      {"descriptor_taken",
       {traced("pidfd_getfd", "/usr/bin/vault", in_step(kPython))},
       {traced("pidfd_getfd", "/usr/bin/vault", in_step(kRunc)),
        traced("PTRACE_ATTACH", "/usr/bin/vault", in_step(kPython))}},
      {"runner_signalled",
       {signalled(9, kWorker, in_step(kCat)),
        signalled(19, "/usr/bin/gitlab-runner", in_step(kCat))},
       {signalled(9, "/usr/bin/vault", in_step(kCat))}},
      {"security_tool_signalled",
       {signalled(15, "/opt/cicd-sensor/cicd-sensor", in_step(kCat)),
        signalled(9, "/usr/sbin/auditd", in_step(kCat))},
       {signalled(9, "/usr/bin/vault", in_step(kCat))}},
      {"machine_service_signalled",
       {signalled(1, "/usr/bin/dockerd", in_step(kCat))},
       {signalled(1, "/usr/bin/vault", in_step(kCat))}},
      {"outside_process_ended",
       {signalled(9, "/usr/bin/vault", in_step(kCat)),
        signalled(19, "/usr/bin/sleep", in_step(kCat))},
       {signalled(10, "/usr/bin/vault", in_step(kCat)), signalled(9, kWorker, in_step(kCat)),
        signalled(9, "/usr/bin/dockerd", in_step(kCat))}},
  };
}

}  // namespace

std::vector<Case> process_access_cases() { return joined({first_part(), second_part()}); }

}  // namespace cicd::baseline
