// SPDX-License-Identifier: Apache-2.0
// Cases of the baseline rules: ways out of a container or a user's rights.
#include "rule/baseline_cases.h"

namespace cicd::baseline {

namespace {

std::vector<Case> first_part() {
  return {
      {"system_folder_covered",
       {mounted("/tmp/x", "/etc", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/tmp/x", "/etc/hosts", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("tmpfs", "/root", in_step({"/usr/bin/mount", {"mount"}}))},
       {mounted("/tmp/x", "/work/root/etc", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/x", "/etc/hosts", in_step(kRunc)),
        mounted("", "/etc", in_step({"/usr/bin/mount", {"mount"}}))}},
      {"host_disk_mounted",
       {mounted("/dev/sda1", "/mnt", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/dev/nvme0n1p1", "/mnt", in_step({"/usr/bin/mount", {"mount"}}))},
       {mounted("/dev/loop0", "/mnt", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("tmpfs", "/mnt", in_step({"/usr/bin/mount", {"mount"}}))}},
      {"process_hidden_by_mount",
       {mounted("/tmp/x", "/proc/4711", in_step({"/usr/bin/mount", {"mount"}}))},
       {mounted("proc", "/proc", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/dev/null", "/proc/kcore", in_step(kRunc)),
        mounted("", "/proc/4711", in_step({"/usr/bin/mount", {"mount"}}))}},
      {"kernel_files_bound_elsewhere",
       {mounted("/proc", "/tmp/x", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/proc/sys", "/tmp/x", in_step({"/usr/bin/mount", {"mount"}}))},
       {mounted("proc", "/tmp/x", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("/proc", "/tmp/x", in_step(kRunc))}},
      {"sensor_covered_by_mount",
       {mounted("tmpfs", "/run/cicd-sensor", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("tmpfs", "/sys/fs/cgroup", in_step({"/usr/bin/mount", {"mount"}}))},
       {mounted("tmpfs", "/run/x", in_step({"/usr/bin/mount", {"mount"}})),
        mounted("cgroup", "/sys/fs/cgroup", in_step(kRunc))}},
      {"kernel_helper_written",
       {open("/proc/sys/kernel/core_pattern", in_step(kCat), kWrite),
        open("/sys/fs/cgroup/rdma/release_agent", in_step(kCat), kWrite)},
       {open("/proc/sys/kernel/core_pattern", in_step(kCat)),
        open("/proc/sys/vm/max_map_count", in_step(kCat), kWrite)}},
      {"engine_socket_used_by_hand",
       {unix_connect("/run/docker.sock", in_step(kCurl))},
       {unix_connect("/run/docker.sock", in_step(kDocker)),
        unix_connect("/run/other.sock", in_step(kCurl))}},
  };
}

std::vector<Case> second_part() {
  return {
      {"engine_socket_used",
       {unix_connect("/run/containerd/containerd.sock", in_step(kPython))},
       {unix_connect("/run/docker.sock", in_step(kDocker)),
        unix_connect("/run/docker.sock", in_step(kCurl)),
        unix_connect("/run/other.sock", in_step(kPython))}},
      {"shim_socket_used",
       {unix_connect("@/containerd-shim/abc.sock", in_step(kPython)),
        unix_connect("/run/containerd/s/abc", in_step(kPython))},
       {unix_connect("/run/containerd/s/abc", in_step({"/usr/bin/containerd", {"containerd"}})),
        unix_connect("/run/x", in_step(kPython))}},
      {"systemd_socket_used",
       {unix_connect("/run/systemd/private", in_step(kPython))},
       {unix_connect("/run/systemd/private", in_step({"/usr/bin/systemctl", {"systemctl"}})),
        unix_connect("/run/systemd/notify", in_step(kPython))}},
      {"ssh_agent_used",
       {unix_connect("/tmp/ssh-Xa1/agent.17", in_step(kPython))},
       {unix_connect("/tmp/ssh-Xa1/agent.17", in_step({"/usr/bin/ssh", {"ssh"}})),
        unix_connect("/tmp/agent.17", in_step(kPython))}},
      {"gpg_agent_used",
       {unix_connect("/root/.gnupg/S.gpg-agent", in_step(kPython))},
       {unix_connect("/root/.gnupg/S.gpg-agent", in_step({"/usr/bin/gpg", {"gpg"}})),
        unix_connect("/root/.gnupg/S.x", in_step(kPython))}},
      {"user_namespace_made",
       {namespaces("unshare", "user,mnt", in_step(kPython)),
        namespaces("clone", "user", in_step(kPython))},
       {namespaces("unshare", "user", in_step({"/opt/google/chrome/chrome", {"chrome"}})),
        namespaces("unshare", "mnt", in_step(kPython)),
        namespaces("setns", "user", in_step(kPython))}},
      {"namespace_entered",
       {namespaces("setns", "mnt", in_step(kPython)),
        namespaces("setns", "user,pid", in_step(kPython))},
       {namespaces("setns", "net", in_step(kPython)), namespaces("setns", "mnt", in_step(kRunc)),
        namespaces("unshare", "mnt", in_step(kPython))}},
  };
}

std::vector<Case> third_part() {
  return {
      {"host_entered_with_nsenter",
       {exec(in_step({"/usr/bin/nsenter", {"nsenter", "-t", "1", "-m", "sh"}})),
        exec(in_step({"/usr/bin/nsenter", {"nsenter", "--target=1"}}))},
       {exec(in_step({"/usr/bin/nsenter", {"nsenter", "-t", "4711", "-n"}})),
        exec(in_step({"/usr/bin/cat", {"cat", "1"}}))}},
  };
}

}  // namespace

std::vector<Case> isolation_cases() { return joined({first_part(), second_part(), third_part()}); }

}  // namespace cicd::baseline
