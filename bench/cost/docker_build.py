# SPDX-License-Identifier: Apache-2.0
"""docker build with a dockerd of its own; nothing of the machine's Docker is touched."""
from workloads import Workload, lacks


class DockerBuild(Workload):
    name = "docker_build"
    about = "docker build, daemon included"
    programs = ("dockerd", "docker", "runc", "containerd", "busybox")

    def missing(self):
        return "not yet"
