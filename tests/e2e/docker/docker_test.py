#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy before a real dockerd: what the docker command prints is the same as without it, and the
agent knows of a container before it starts."""
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time

from docker_world import World, wait_for
from sensor import Skip, run_tests

WORLD = []
NET = ("--network", "none")


def world():
    """One dockerd for all tests of this file."""
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def removed(there, name):
    there.run("rm", "--force", name)


def test_a_container_is_staged_before_it_starts():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        name = f"staged-{os.getpid()}"
        output = there.docker("run", "--name", name, *NET, "busybox", "echo", "hello",
                              socket=proxy.socket)
        assert output == "hello", output
        full = there.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name).split()[0]
        removed(there, name)
        assert sorted(agent.basenames()) == sorted([f"docker-{full}.scope", full])
        assert all(route == "/v1/github/staging/put" for _, route, _ in agent.calls)
        assert all(set(body) == {"basename", "peer_pid"} for body in agent.bodies()), agent.calls
        assert len(proxy.log("container_staged")) == 1


if __name__ == "__main__":
    try:
        run_tests(globals())
    finally:
        for each in WORLD:
            each.close()
