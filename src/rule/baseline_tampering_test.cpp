// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: files removed, moved and linked.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

namespace {

std::vector<Case> first_part() {
  return {
      {"shell_history_removed",
       {removed("/root/.bash_history", in_step({"/usr/bin/rm", {"rm"}}))},
       {removed("/root/history", in_step({"/usr/bin/rm", {"rm"}}))}},
      {"shell_history_replaced",
       {linked("/root/.bash_history", "/dev/null", in_step({"/usr/bin/ln", {"ln"}}))},
       {linked("/root/null", "/dev/null", in_step({"/usr/bin/ln", {"ln"}}))}},
      {"logs_removed",
       {removed("/var/log/auth.log", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/var/log/audit/audit.log", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/home/runner/actions-runner/_diag/Worker_1.log",
                in_step({"/usr/bin/rm", {"rm"}}))},
       {removed("/var/log/auth.log", in_step({"/usr/sbin/logrotate", {"logrotate"}})),
        removed("/work/x/build.log", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/var/log/apt/history.log", in_step({"/usr/bin/rm", {"rm"}}))}},
      {"logs_moved",
       {moved("/var/log/wtmp", "/tmp/x", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/var/log/journal/1/system.journal", "/tmp/x", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/var/log/syslog", "/var/log/syslog.1",
              in_step({"/usr/sbin/logrotate", {"logrotate"}})),
        moved("/work/a.log", "/work/b.log", in_step({"/usr/bin/mv", {"mv"}}))}},
      {"sensor_files_removed",
       {removed("/run/cicd-sensor/agent.sock", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/etc/cicd-sensor/manager-token", in_step({"/usr/bin/rm", {"rm"}}))},
       {removed("/work/cicd-sensor/build/x.o", in_step({"/usr/bin/rm", {"rm"}}))}},
      {"sensor_files_moved",
       {moved("/opt/cicd-sensor/cicd-sensor", "/tmp/x", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/tmp/x", "/opt/cicd-sensor/cicd-sensor", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/work/cicd-sensor/a", "/work/cicd-sensor/b", in_step({"/usr/bin/mv", {"mv"}}))}},
      {"lock_file_removed",
       {removed("/work/package-lock.json", in_step({"/usr/bin/rm", {"rm"}}))},
       {removed("/work/package.json", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/work/package-lock.json", in_step(kGit))}},
  };
}

std::vector<Case> second_part() {
  return {
      {"lock_file_moved",
       {moved("/work/x", "/work/poetry.lock", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/work/yarn.lock", "/work/x", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/work/x", "/work/y", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/work/x", "/work/go.sum", in_step(kGit))}},
      {"system_program_replaced",
       {moved("/tmp/x", "/usr/bin/git", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/tmp/x", "/sbin/ip", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/tmp/kubectl", "/usr/local/bin/kubectl", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/usr/bin/git.dpkg-new", "/usr/bin/git", in_step(kDpkg))}},
      {"system_program_removed",
       {removed("/usr/bin/auditctl", in_step({"/usr/bin/rm", {"rm"}}))},
       {removed("/usr/local/bin/x", in_step({"/usr/bin/rm", {"rm"}})),
        removed("/usr/bin/x", in_step(kDpkg)),
        removed("/usr/bin/x", in_step({"/usr/bin/rm", {"rm"}}), true)}},
      {"system_program_linked",
       {linked("/usr/bin/python", "python3", in_step({"/usr/bin/ln", {"ln"}}))},
       {linked("/usr/local/bin/python", "python3", in_step({"/usr/bin/ln", {"ln"}})),
        linked("/usr/bin/vi", "vim", in_step(kDpkg))}},
      {"system_library_replaced",
       {moved("/tmp/x", "/usr/lib/x86_64-linux-gnu/libssl.so.3", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/tmp/x", "/usr/local/lib/libx.so", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/tmp/x", "/usr/lib/libx.so", in_step(kDpkg)),
        moved("/tmp/x", "/usr/lib/node_modules/a.js", in_step({"/usr/bin/mv", {"mv"}}))}},
      {"credential_file_linked",
       {linked("/tmp/a", "/root/.npmrc", in_step({"/usr/bin/ln", {"ln"}}), true),
        linked("/tmp/a", "/etc/shadow", in_step({"/usr/bin/ln", {"ln"}}))},
       {linked("/tmp/a", "/root/notes", in_step({"/usr/bin/ln", {"ln"}}))}},
      {"credential_file_moved",
       {moved("/root/.aws/credentials", "/tmp/a", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/root/.aws/credentials", "/root/.aws/credentials.bak",
              in_step({"/usr/bin/mv", {"mv"}})),
        moved("/root/.npmrc.tmp", "/root/.npmrc", in_step({"/usr/bin/mv", {"mv"}}))}},
  };
}

std::vector<Case> third_part() {
  return {
      {"git_hook_moved_into_place",
       {moved("/tmp/x", "/work/x/.git/hooks/post-checkout", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/tmp/x", "/work/x/.git/hooks/pre-push", in_step(kGit)),
        moved("/tmp/x", "/work/x/.git/hooks/a.sample", in_step({"/usr/bin/mv", {"mv"}}))}},
      {"workflow_file_moved_into_place",
       {moved("/tmp/x", "/work/x/.github/workflows/ci.yml", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/tmp/x", "/work/x/.github/workflows/ci.yml", in_step(kGit)),
        moved("/work/x/.gitlab-ci.yml", "/tmp/x", in_step({"/usr/bin/mv", {"mv"}}))}},
      {"startup_file_moved_into_place",
       {moved("/tmp/x", "/root/.bashrc", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/tmp/x", "/etc/cron.d/x", in_step({"/usr/bin/mv", {"mv"}})),
        moved("/tmp/x", "/root/.config/systemd/user/x.service", in_step({"/usr/bin/mv", {"mv"}}))},
       {moved("/tmp/x", "/root/notes", in_step(kCat)),
        moved("/tmp/x", "/etc/systemd/system/x.wants/y.service",
              in_step({"/usr/bin/systemctl", {"systemctl"}})),
        moved("/tmp/x", "/etc/profile.d/x.sh", in_step(kDpkg))}},
      {"startup_file_linked",
       {linked("/root/.ssh/authorized_keys", "/tmp/x", in_step({"/usr/bin/ln", {"ln"}})),
        linked("/etc/systemd/system/x.service", "/tmp/x", in_step({"/usr/bin/ln", {"ln"}}))},
       {linked("/root/notes", "/tmp/x", in_step(kCat)),
        linked("/etc/systemd/system/x.wants/y.service", "/tmp/x",
               in_step({"/usr/bin/systemctl", {"systemctl"}})),
        linked("/etc/profile.d/x.sh", "/tmp/x", in_step(kDpkg))}},
  };
}

}  // namespace

std::vector<Case> tampering_cases() { return joined({first_part(), second_part(), third_part()}); }

}  // namespace cicd::baseline
