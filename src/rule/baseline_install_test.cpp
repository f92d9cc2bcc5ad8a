// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: what package installs must not do to the machine.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

namespace {

std::vector<Case> first_part() {
  return {
      {"package_install_reads_process_memory",
       {memory("proc_mem", kWorker, below_npm(kNode)),
        memory("proc_environ", "/usr/bin/vault", below_pip(kCat))},
       {memory("proc_maps", "/usr/bin/vault", below_pip(kCat)),
        memory("proc_mem", "/usr/bin/vault", in_step(kCat)),
        memory("proc_environ", "/x", below_pip({"/usr/bin/ps", {"ps", "e"}}))}},
      {"package_install_traces_process",
       {traced("PTRACE_ATTACH", "/usr/bin/vault", below_npm(kNode))},
       {traced("PTRACE_ATTACH", "/usr/bin/vault", in_step(kCat)),
        traced("PTRACE_TRACEME", "/usr/bin/vault", below_npm(kNode)),
        traced("PTRACE_ATTACH", "/usr/bin/node", below_npm(kNode))}},
      {"package_install_signals_outside",
       {signalled(9, "/usr/bin/vault", below_pip(kCat))},
       {signalled(9, "/usr/bin/vault", in_step(kCat))}},
      {"package_install_uses_engine_socket",
       {unix_connect("/var/run/docker.sock", below_npm(kCurl))},
       {unix_connect("/var/run/docker.sock", in_step(kCat)),
        unix_connect("/run/x.sock", below_npm(kCurl))}},
      {"package_install_uses_session_socket",
       {unix_connect("@/tmp/.X11-unix/X0", below_pip(kPython)),
        unix_connect("/run/user/1000/bus", below_pip(kPython)),
        unix_connect("/tmp/ssh-1/agent.2", below_pip(kPython))},
       {unix_connect("/tmp/ssh-1/agent.2", below_pip({"/usr/bin/ssh", {"ssh"}})),
        unix_connect("/run/user/1000/bus", in_step(kCat))}},
      {"package_install_asks_drop_site",
       {asked("discord.com", below_npm(kNode)), asked("x.oast.fun", below_pip(kCat))},
       {asked("discord.com", in_step(kCat)), asked("registry.example", below_npm(kNode))}},
      {"package_install_script_asks_name",
       {asked("x.example.test", below_npm(kCurl))},
       {asked("x.example.test", below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "prefix"}})),
        asked("x.example.test", below_pip(kGit)), asked("x.example.test", in_step(kCat))}},
  };
}

std::vector<Case> second_part() {
  return {
      {"package_install_removes_home_files",
       {removed("/home/runner/.ssh/id_rsa", below_npm(kNode)),
        removed("/root/.bashrc", below_pip(kCat))},
       {removed("/home/runner/.ssh/id_rsa", in_step(kCat)),
        removed("/home/runner/.npm/_cacache/x", below_npm(kNode))}},
      {"package_install_removes_lock_file",
       {removed("/work/package-lock.json", below_npm(kCat))},
       {removed("/work/package-lock.json",
                below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "prefix"}})),
        removed("/work/package-lock.json", in_step(kCat))}},
      {"package_install_mounts",
       {mounted("tmpfs", "/mnt", below_pip(kCat))},
       {mounted("tmpfs", "/mnt", in_step(kCat))}},
      {"package_install_makes_namespace",
       {namespaces("unshare", "mnt", below_pip(kPython))},
       {namespaces("unshare", "mnt", in_step(kCat)),
        namespaces("unshare", "user", below_pip({"/usr/bin/bwrap", {"bwrap"}}))}},
      {"package_install_uses_kernel",
       {bpf("BPF_MAP_CREATE", below_pip(kPython))},
       {bpf("BPF_MAP_CREATE", in_step(kCat))}},
      {"package_install_uses_io_uring",
       {io_uring("openat", "/x", below_pip(kPython))},
       {io_uring("openat", "/x", in_step(kCat)), io_uring("openat", "/x", below_npm(kNode))}},
      {"package_install_requests_over_http",
       {request("POST", "x.test", "/", below_pip(kCurl))},
       {request("GET", "x.test", "/", below_pip(kCurl)),
        request("POST", "x.test", "/", in_step(kCurl)),
        request("POST", "x.test", "/-/npm/v1/security",
                below_npm({"/usr/bin/node", {"node", "/usr/bin/npm", "prefix"}}))}},
  };
}

}  // namespace

std::vector<Case> install_act_cases() { return joined({first_part(), second_part()}); }

}  // namespace cicd::baseline
