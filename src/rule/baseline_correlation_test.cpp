// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: correlations.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

std::vector<CorrelationCase> correlation_cases() {
  return {
      {"process_memory_searched",
       {{memory("proc_maps", "/usr/bin/vault", in_step(kPython)),
         memory("process_vm_readv", "/usr/bin/vault", in_step(kPython))},
        {memory("proc_maps", kWorker, in_step(kPython)),
         memory("proc_mem", kWorker, in_step(kPython))}},
       {{memory("proc_maps", "/usr/bin/vault", in_step(kPython)),
         memory("proc_maps", kWorker, in_step(kPython))},
        {memory("process_vm_readv", "/usr/bin/vault", in_step(kPython))}}},
      {"traces_removed",
       {{removed("/var/log/auth.log", in_step(kCat)),
         removed("/root/.bash_history", in_step(kCat))},
        {linked("/root/.bash_history", "/dev/null", in_step(kCat)),
         moved("/var/log/wtmp", "/x", in_step(kCat))}},
       {{removed("/var/log/auth.log", in_step(kCat)), removed("/var/log/syslog", in_step(kCat))}}},
      {"code_run_from_memory_with_privileges",
       {{exec_memory(in_step(kPython)), privileged("setuid", 1000, 0, "all", in_step(kPython))}},
       {{exec_memory(in_step(kPython)), privileged("exec", 1000, 0, "all", in_step(kSudo))},
        {privileged("setuid", 1000, 0, "all", in_step(kPython))}}},
      {"many_names_asked_by_tools",
       {std::vector<Event>(21, asked("a.example.test", in_step({"/usr/bin/dig", {"dig"}})))},
       {std::vector<Event>(20, asked("a.example.test", in_step({"/usr/bin/dig", {"dig"}}))),
        std::vector<Event>(50, asked("a.example.test", in_step(kCurl)))}},
      {"secrets_sent",
       {{request("GET", "169.254.169.254", "/latest/meta-data/iam/", in_step(kCurl)),
         request("POST", "x.test", "/", in_step(kCurl))},
        {asked("metadata.google.internal", in_step(kPython)),
         asked("webhook.site", in_step(kPython))}},
       {{asked("metadata.google.internal", in_step(kPython))},
        {asked("webhook.site", in_step(kPython)), request("POST", "x.test", "/", in_step(kCurl))}}},
      {"package_install_asks_many_names",
       {std::vector<Event>(21, asked("0a1b.t.example.test", below_npm(kCat)))},
       {std::vector<Event>(20, asked("0a1b.t.example.test", below_npm(kCat))),
        std::vector<Event>(50, asked("x.test", in_step(kCat)))}},
      {"package_install_steals_secrets",
       {{open("/root/.npmrc", below_pip(kCat)), connect("203.0.113.9", 443, below_pip(kCurl))},
        {memory("proc_mem", kWorker, below_npm(kNode)), asked("discord.com", below_npm(kNode))}},
       {{open("/root/.npmrc", below_pip(kCat))},
        {open("/root/.npmrc", below_pip(kCat)), connect("203.0.113.9", 443, in_step(kCurl))}}},
  };
}

}  // namespace cicd::baseline
