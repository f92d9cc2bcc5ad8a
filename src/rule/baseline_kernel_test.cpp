// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: use of the kernel, and rights that are gained.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

std::vector<Case> kernel_cases() {
  return {
      {"kernel_module_loaded",
       {module("evil", in_step(kCat)), module("", in_step(kCat))},
       {bpf("BPF_PROG_LOAD", in_step(kCat))}},
      {"bpf_program_loaded",
       {bpf("BPF_PROG_LOAD", in_step(kPython))},
       {bpf("BPF_MAP_CREATE", in_step(kPython)), bpf("BPF_PROG_LOAD", in_step(kRunc))}},
      {"bpf_object_taken",
       {bpf("BPF_MAP_GET_FD_BY_ID", in_step(kPython)), bpf("BPF_OBJ_GET", in_step(kPython))},
       {bpf("BPF_PROG_LOAD", in_step(kPython)), bpf("BPF_PROG_DETACH", in_step(kRunc))}},
      {"io_uring_opens_credentials",
       {io_uring("openat", "/root/.npmrc", in_step(kPython))},
       {io_uring("openat", "/root/x", in_step(kPython))}},
      {"io_uring_opens_files",
       {io_uring("openat2", "/root/x", in_step(kPython))},
       {io_uring("openat", "/root/x",
                 in_step({"/usr/lib/postgresql/16/bin/postgres", {"postgres"}})),
        io_uring("connect", "", in_step(kPython))}},
      {"io_uring_network",
       {io_uring("connect", "", in_step(kPython)), io_uring("sendmsg", "", in_step(kPython))},
       {io_uring("connect", "", in_step({"/usr/lib/postgresql/16/bin/postgres", {"postgres"}})),
        io_uring("openat", "/x", in_step(kPython))}},
      {"executable_memory_in_plain_tool",
       {exec_memory({kBash}), exec_memory(in_step(kCat))},
       {exec_memory(in_step(kNode)), exec_memory(in_step(kGit))}},
      {"executable_memory_in_interpreter",
       {exec_memory(in_step(kPython))},
       {exec_memory(in_step(kNode)), exec_memory(in_step(kCat))}},
      {"program_became_root",
       {privileged("setuid", 1000, 0, "all", in_step(kPython)),
        privileged("exec", 1000, 0, "all", in_step({"/tmp/.x/sh", {"sh"}}))},
       {privileged("exec", 1000, 0, "all", in_step(kSudo)),
        privileged("setuid", 0, 1000, "", in_step(kPython))}},
      {"dangerous_capability_gained",
       {privileged("exec", 1000, 1000, "cap_net_raw,cap_sys_admin", in_step(kPython)),
        privileged("capset", 1000, 1000, "cap_setuid", in_step(kPython))},
       {privileged("exec", 1000, 1000, "cap_net_raw", in_step({"/usr/bin/ping", {"ping"}})),
        privileged("exec", 1000, 1000, "cap_net_raw", in_step(kPython)),
        privileged("capset", 0, 0, "cap_sys_admin", in_step(kPython))}},
  };
}

}  // namespace cicd::baseline
