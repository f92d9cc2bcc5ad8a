#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Containers of jobs, all of it real: dockerd, the proxy before it, the agent, the docker command."""
import contextlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "docker")]
from docker_world import World  # noqa: E402
from live_agent import Agent  # noqa: E402
from sensor import run_tests  # noqa: E402

RUN = "docker --host unix://{proxy} run --rm --network none busybox"


@contextlib.contextmanager
def everything():
    world = World()
    try:
        with Agent() as agent:
            world.agent_path = agent.socket
            with world.proxy() as proxy:
                yield world, agent, proxy
    finally:
        world.close()


def inside(events):
    """Names of files that were opened in containers, and how many containers there were."""
    rows = [row["event"] for row in events if "container" in row["event"]]
    names = {pathlib.PurePath(event["file_open"]["path"]).name for event in rows
             if event["type"] == "file_open"}
    return names, {event["container"]["id"] for event in rows}


def test_containers_belong_to_the_job_that_started_them():
    with everything() as (world, agent, proxy):
        run = RUN.format(proxy=proxy.socket)
        script = f"""
            export DOCKER_CONFIG=$PWD PATH=/usr/sbin:/usr/bin:/sbin:/bin
            $S host start $F || exit 1
            {run} sh -c 'echo x >/tmp/of-NAME; sleep 0.2' || exit 1
            {run} sh -c 'echo x >/tmp/second-of-NAME; exec cat /etc/passwd' >/dev/null || exit 1
            $S host end $F"""
        jobs = [agent.github_job(name, script.replace("NAME", name), wait=False) for name in ("1", "2")]
        world.docker("run", "--rm", "--network", "none", "busybox", "sh", "-c",
                     "echo x >/tmp/of-nobody", socket=proxy.socket)
        for job in jobs:
            assert job.wait().process.returncode == 0, job.output() + agent.log()
        containers = set()
        for name in ("1", "2"):
            files, ids = inside(agent.events(name))
            assert {f"of-{name}", f"second-of-{name}"} <= files, files
            assert not files & {"of-nobody", f"of-{3 - int(name)}"}, files
            assert len(ids) == 2 and not ids & containers, ids
            containers |= ids
            programs = [row["event"]["process"]["exec_path"] for row in agent.events(name)
                        if row["event"]["type"] == "process_exec" and "container" in row["event"]]
            assert any(path.endswith("busybox") for path in programs), programs


def test_fifty_at_once():
    with everything() as (_, agent, proxy):
        run = RUN.format(proxy=proxy.socket)
        job = agent.github_job("1", f"""
            export DOCKER_CONFIG=$PWD PATH=/usr/sbin:/usr/bin:/sbin:/bin
            $S host start $F || exit 1
            for i in $(seq 50); do {run} sh -c "echo x >/tmp/number-$i" & done; wait
            $S host end $F""", wait=False)
        job.wait(240)
        assert job.process.returncode == 0, job.output() + agent.log()
        files, ids = inside(agent.events("1"))
        missing = {f"number-{i}" for i in range(1, 51)} - files
        assert not missing and len(ids) == 50, (missing, len(ids), job.output()[-500:])


def test_exec_and_a_container_that_outlives_its_step():
    with everything() as (_, agent, proxy):
        docker = f"docker --host unix://{proxy.socket}"
        job = agent.github_job("1", f"""
            export DOCKER_CONFIG=$PWD PATH=/usr/sbin:/usr/bin:/sbin:/bin
            $S host start $F || exit 1
            {docker} run --detach --name lasting --network none busybox sleep 600 >/dev/null || exit 1
            {docker} exec lasting sh -c 'echo x >/tmp/by-exec' || exit 1
            {docker} restart --time 0 lasting >/dev/null || exit 1
            {docker} exec lasting sh -c 'echo x >/tmp/after-restart' || exit 1
            {docker} rm --force lasting >/dev/null
            $S host end $F""")
        assert job.process.returncode == 0, job.output() + agent.log()
        files, ids = inside(agent.events("1"))
        assert "by-exec" in files, files
        assert len(ids) == 1, ids
        print("a restart by dockerd is " + ("seen" if "after-restart" in files else "not seen"))


run_tests(globals())
