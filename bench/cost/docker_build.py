# SPDX-License-Identifier: Apache-2.0
"""docker build with a dockerd of its own: private mounts and network, its state in a folder of its
own, all of it below one cgroup. Nothing of the machine's Docker is touched.

The daemon starts and ends within the work, so its CPU time counts, and with the sensor all of it is
part of the job: the most that a build in containers can cost. A daemon that runs as a service is
outside of the job, and what it does for a build is then not watched (docs/limits.md).
"""
import shutil
import subprocess

from legs import HERE
from workloads import Workload, lacks


class DockerBuild(Workload):
    name = "docker_build"
    about = "docker build of 4 steps, each of which writes 200 files; its own daemon included"
    programs = ("dockerd", "docker", "runc", "containerd", "busybox", "unshare")
    applets = ("sh", "mkdir", "seq", "cat", "true", "rm", "ls", "grep")

    def missing(self):
        return lacks(*self.programs)

    def prepare(self, folder):
        super().prepare(folder)
        root = folder / "rootfs"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            (root / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for applet in self.applets:
            link = root / "bin" / applet
            link.unlink(missing_ok=True)
            link.symlink_to("busybox")
        subprocess.run(["tar", "-C", str(root), "-cf", str(folder / "rootfs.tar"), "."], check=True)
        context = folder / "context"
        context.mkdir(exist_ok=True)
        step = ("RUN mkdir /made{0} && for i in $(seq 200); do echo $i > /made{0}/$i; done && "
                "cat /made{0}/* > /all{0} && ls /made{0} && grep -r 199 /made{0}\n")
        (context / "Dockerfile").write_text("FROM base\n" + "".join(map(step.format, range(4))))

    def command(self):
        return ["unshare", "--mount", "--net", "--propagation", "private", "/bin/bash",
                str(HERE / "docker_build.sh"), str(self.folder)]
